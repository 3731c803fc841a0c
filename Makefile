# `make help` lists the targets.
SHELL := /bin/bash
PY := .venv/bin/python
export PYTHONPATH := hack/cluster:hack/demo:hack/peers:hack/chaos
export PATH := $(CURDIR)/build/tools/bin:$(PATH)
SOURCES := operator agent_image hack tests

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-small demo-remove test test-long check lint types contracts crds lock unit controlplane e2e images chart clean-cluster clean bench-run bench-queue bench-hub model mutate-queue stale-workers bench-peers

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install Debian packages (as root), the virtual environment and Node.js
	@hack/setup

demo: setup ## Build the Task Management API with a swarm, on a real node or the cluster of KUBECONFIG
	@$(PY) -m swarmdemo $(DEMO_FLAGS)

demo-small: setup ## The same with a small example, in about two minutes
	@$(PY) -m swarmdemo --example notes-api --namespace swarmrun-notes $(DEMO_FLAGS)

demo-remove: ## Remove from the cluster of KUBECONFIG what demo and tests have put there
	@$(PY) -m swarmdemo.remove

test: setup check unit controlplane e2e ## Everything that CI runs

check: lint types contracts drift ## Static checks only

lint: ## ruff, yamllint, shell
	@.venv/bin/ruff check $(SOURCES)
	@.venv/bin/ruff format --check $(SOURCES)
	@.venv/bin/yamllint -s .

types: ## mypy, strict
	@.venv/bin/mypy $(SOURCES)

contracts: ## import-linter: layers and purity
	@.venv/bin/lint-imports

drift: ## Generated files equal their sources
	@$(PY) hack/crds/generate.py --check
	@$(PY) -m hack.docs --check
	@$(PY) -m hack.docs.links

unit: ## Unit, contract and Redis tests
	@$(PY) -m pytest -q -m "not controlplane and not node" -n 2 --dist loadgroup tests $(PYTEST_FLAGS)

controlplane: ## API-level tests on a real control plane
	@hack/cluster/cluster build kubernetes >/dev/null
	@hack/cluster/cluster build helm >/dev/null
	@$(PY) -m pytest -q -m controlplane tests $(PYTEST_FLAGS)

e2e: ## One run on the real node, with seeded faults
	@$(PY) -m pytest -q -m node -s tests/e2e $(PYTEST_FLAGS)

bench-run: setup ## Latencies, memory and scheduling efficiency of a real run
	@$(PY) -m swarmbench $(BENCH_FLAGS)

test-long: setup ## A million random steps of the queue against its model, in other histories each time
	@MODEL_EXAMPLES=20000 MODEL_SEED=$$RANDOM $(PY) -m pytest -q -n 2 tests/contract/test_model.py $(PYTEST_FLAGS)

bench-queue: setup ## Speed, latency and memory of the queue, with other Python queues in the same run
	@$(PY) -m queuebench $(BENCH_FLAGS)

bench-hub: setup ## CPU of a streamed model call in the hub, and how even 500 streams flow
	@$(PY) -m hubbench $(BENCH_FLAGS)

stale-workers: setup ## Show what other queues and ours do with a worker that wakes after its lease; writes the page
	@$(PY) -m swarmpeers stale --write $(STALE_FLAGS)

bench-peers: setup ## Speed of other Python queues on Redis, no-op jobs in one worker process
	@$(PY) -m swarmpeers bench --rounds 3 --write $(BENCH_FLAGS)

model: setup ## Check the queue's protocol in every state with Spin, and that it fails with a part taken out
	@$(PY) -m hack.model

mutate-queue: setup ## Take promises out of the queue's scripts, one at a time: tests must notice each
	@nice $(PY) -m hack.mutants $(MUTATE_FLAGS)

chaos-queue: setup ## Kill loops of queue and ledger on a real Redis; CHAOS_FLAGS="--help" tells how to scale
	@$(PY) -m swarmchaos $(CHAOS_FLAGS)

crds: ## Write the CRDs from the models
	@$(PY) hack/crds/generate.py

lock: ## Pin all dependencies anew
	@hack/lock

images: setup ## Build all images
	@$(PY) -c 'from swarmdemo import images; print(*images.build_all("localhost", public_bases=False).all, sep="\n")'

chart: ## Lint and render the chart
	@hack/cluster/cluster build helm >/dev/null
	@PATH="$$(hack/cluster/cluster path):$$PATH" helm lint --strict helm/swarmrun-operator
	@PATH="$$(hack/cluster/cluster path):$$PATH" helm template swarmrun helm/swarmrun-operator >/dev/null

clean-cluster: ## Remove every cluster that demo and tests have left
	@python3 hack/cluster/cluster clean

clean: clean-cluster ## Remove the virtual environment and build results as well
	@rm -rf .venv build
