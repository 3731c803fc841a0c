"""What each command does. Every function returns the exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import yaml

from swarm_cli import checks, dashboard
from swarm_cli.kubectl import RUNS, Kubectl
from swarm_cli.manifest import Planned, check, load, now
from swarm_cli.output import Format, Out
from swarmrun.core.errors import Invalid, Problem
from swarmrun.core.estimate import Estimate, TokenPrice, estimate
from swarmrun.core.money import MICRO
from swarmrun.core.task import TaskType
from swarmrun.specmodels import models_of, provider_of

#: Dependencies that a row of the plan names; JSON has them all.
_NEEDS_SHOWN: Final = 3


def _checked(file: str) -> list[Planned]:
    """Check every run of a file; the faults of all come together."""
    good: list[Planned] = []
    problems: list[Problem] = []
    manifests = load(file)
    for manifest in manifests:
        try:
            good.append(check(manifest))
        except Invalid as error:
            prefix = f"{manifest.name}: " if len(manifests) > 1 else ""
            problems += [p.model_copy(update={"path": prefix + p.path}) for p in error.problems]
    if problems:
        raise Invalid(problems)
    return good


def lint(out: Out, file: str) -> int:
    """Say that every run of the file is fine, or raise its faults."""
    for planned in _checked(file):
        project, plan = planned.project, planned.plan
        out.line(
            f"{planned.manifest.name}: valid, {len(project.resources)} resources, "
            f"{project.endpoint_count} endpoints, {len(plan.tasks)} tasks, profile {plan.profile}"
        )
    return 0


def plan(out: Out, file: str, output: Format) -> int:
    """Print the plans of a file."""
    found = _checked(file)
    if output is Format.NAME:
        for planned in found:
            out.raw("\n".join(f"task/{t.id}" for t in planned.plan.tasks))
    elif output is Format.TABLE:
        for planned in found:
            _plan_table(out, planned)
    else:
        values = [_plan_value(planned) for planned in found]
        value: Any = values[0] if len(values) == 1 else values
        text = (
            json.dumps(value, indent=2) if output is Format.JSON else yaml.safe_dump(value, sort_keys=False)
        )
        out.raw(text)
    return 0


def _estimate(planned: Planned) -> Estimate | None:
    """Estimate the cost at the prices of the run's own models; a bare project names none."""
    spec = planned.manifest.spec
    if spec is None:
        return None
    from swarmrun.prices import lookup_price  # noqa: PLC0415 — the price table takes half a second to load

    policy, provider = models_of(spec), provider_of(spec)

    def price(kind: TaskType) -> TokenPrice:
        base = lookup_price(policy.model_for(kind, 1), provider, at=now()).base
        return TokenPrice(base.input, base.output)

    return estimate(
        planned.plan, price(TaskType.SCAFFOLD), {kind: price(kind) for kind in planned.plan.totals}
    )


def dollars(micro_usd: int) -> str:
    """Round micro-dollars to cents, for people."""
    return f"${(Decimal(micro_usd) / MICRO).quantize(Decimal('0.01'), ROUND_HALF_UP)}"


def _plan_table(out: Out, planned: Planned) -> None:
    plan_ = planned.plan
    rows = [(t.id, t.type.value, t.title, str(t.priority), _needs(t.depends_on)) for t in plan_.tasks]
    out.table(("TASK", "TYPE", "TITLE", "PRIORITY", "NEEDS"), rows)
    totals = ", ".join(f"{count} {kind.value}" for kind, count in plan_.totals.items())
    out.line("")
    out.line(f"Project:       {plan_.project} ({planned.manifest.name})")
    out.line(f"Tasks:         {len(plan_.tasks)} ({totals})")
    out.line(f"Critical path: {len(plan_.critical_path)} tasks: {' > '.join(plan_.critical_path)}")
    cost = _estimate(planned)
    spec = planned.manifest.spec
    if cost is not None and spec is not None:
        out.line(
            f"Estimate:      {dollars(cost.low_micro_usd)} to {dollars(cost.high_micro_usd)} "
            f"with {spec.model}, budget ${spec.budget.max_cost_usd}"
        )
    out.line(f"Plan hash:     {plan_.hash}")


def _needs(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - _NEEDS_SHOWN} more" if len(tasks) > _NEEDS_SHOWN else ""
    return ", ".join(tasks[:_NEEDS_SHOWN]) + more or "-"


def _plan_value(planned: Planned) -> dict[str, Any]:
    cost = _estimate(planned)
    value: dict[str, Any] = planned.plan.model_dump(mode="json")
    if cost is not None:
        value["estimate"] = cost.model_dump(mode="json")
    return {"name": planned.manifest.name, **value}


# ── runs in a cluster ───────────────────────────────────────────────────────────────────────────────────


def list_runs(out: Out, kubectl: Kubectl, *, everywhere: bool) -> int:
    """List runs with the columns that matter."""
    runs = kubectl.get(RUNS, everywhere=everywhere).get("items", [])
    if not runs:
        out.error("no runs found; start one with kubectl apply -f swarmrun.yaml")
        return 0
    out.table(
        ("NAMESPACE", "NAME", "PHASE", "PROGRESS", "COST", "AGENTS", "NEXT"), [_run_row(run) for run in runs]
    )
    return 0


def _run_row(run: dict[str, Any]) -> Sequence[str]:
    status = run.get("status") or {}
    agents = status.get("agents") or {}
    return (
        run["metadata"].get("namespace", ""),
        run["metadata"]["name"],
        status.get("phase", "Pending"),
        status.get("progress", "0/0"),
        f"${(status.get('cost') or {}).get('spentUSD', '0.00')}",
        f"{agents.get('ready', 0)}/{agents.get('desired', run.get('spec', {}).get('numAgents', 0))}",
        dashboard.next_command(run),
    )


def status(out: Out, kubectl: Kubectl, name: str, *, as_json: bool, ascii_only: bool) -> int:
    """Show one run once."""
    run = kubectl.get(RUNS, name)
    if as_json:
        out.raw(json.dumps(run.get("status") or {}, indent=2))
    else:
        style = dashboard.Style(unicode=out.unicode and not ascii_only)
        out.markup(dashboard.lines(run, style, now()))
    return 0


def check_run(out: Out, kubectl: Kubectl, name: str, *, as_json: bool) -> int:
    """Judge one run: 0 when all that can be told agrees, 1 when a check failed."""
    run = kubectl.get(RUNS, name)
    found = checks.checks(run)
    if as_json:
        out.raw(json.dumps(checks.value(run, found), indent=2))
    else:
        out.markup(checks.table(run, found))
    return 1 if any(check.failed for check in found) else 0


def report(out: Out, kubectl: Kubectl, name: str, output: str) -> int:
    """Print the report that the operator keeps in a ConfigMap."""
    if output not in {"md", "json"}:
        out.error(f"--output must be md or json, got {output!r}")
        return 1
    run = kubectl.get(RUNS, name)
    config_map = ((run.get("status") or {}).get("reportRef") or {}).get("name") or f"{name}-report"
    data = kubectl.get("configmap", config_map).get("data") or {}
    text = data.get(f"report.{output}")
    if text is None:
        has = ", ".join(sorted(data)) or "none"
        out.error(f"ConfigMap {config_map} must have the key report.{output}; it has {has}")
        return 1
    out.raw(text)
    return 0
