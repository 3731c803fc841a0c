from __future__ import annotations

from merge_values import PROFILE, change, fix_of, submission, task
from swarm_merge.triage import Candidate, Landed, Refused, Unusable, Verdict, triage
from swarmrun.core.task import FailureKind, TaskType
from swarmrun.queue.port import Submission

BASE = "a" * 40
PEM = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEowIBAAKCAQEAtestdatathatislong\n"


def decide(sub: Submission, landed: dict[str, str] | None = None) -> Verdict:
    return triage(sub, landed=landed or {}, profile=PROFILE, known_bases=frozenset({BASE}))


def refusal_kind(sub: Submission) -> FailureKind | None:
    verdict = decide(sub)
    return verdict.failure.kind if isinstance(verdict, Refused) else None


def test_work_inside_its_own_paths_is_a_candidate() -> None:
    sub = submission(task("users"), change({"src/users.py": "x"}, base=BASE))
    assert decide(sub) == Candidate(sub, (sub,), {})


def test_what_the_branch_has_is_not_judged_again() -> None:
    sub = submission(task("users"), change({"elsewhere": PEM}, base="f" * 40))
    assert decide(sub, {"users": "c1"}) == Landed({"users": "c1"})


def test_a_fix_whose_target_has_landed_lands_with_it() -> None:
    target = submission(task("users"), change({"src/users.py": "bad"}))
    fix = submission(fix_of(target.task), change({"src/users.py": "good"}), stack=(target,))
    assert decide(fix, {"users": "c1"}) == Landed({"users": "c1", "fix.users": "c1"})
    assert decide(fix) == Candidate(fix, (target, fix), {})


def test_foreign_and_protected_paths_are_refused() -> None:
    assert refusal_kind(submission(task("users"), change({"src/orders.py": "x"}))) is FailureKind.OWNERSHIP
    assert (
        refusal_kind(submission(task("users", owned=("**",)), change({"gate.py": "x"})))
        is FailureKind.OWNERSHIP
    )
    assert (
        refusal_kind(submission(task("users", owned=("**",)), change({"../x": "x"}))) is FailureKind.OWNERSHIP
    )
    assert refusal_kind(submission(task("users", owned=("**",)), change({".git/config": "x"}))) is not None


def test_a_stack_is_judged_by_its_own_tasks_paths() -> None:
    target = submission(task("users"), change({"src/orders.py": "x"}))
    fix = submission(fix_of(target.task), change({"src/users.py": "good"}), stack=(target,))
    assert refusal_kind(fix) is FailureKind.OWNERSHIP


def test_only_the_scaffold_brings_protected_files_and_only_the_templates_own() -> None:
    scaffold = task("scaffold", type=TaskType.SCAFFOLD, owned=("src/main.py",))
    gate = PROFILE.template["gate.py"]
    assert refusal_kind(submission(scaffold, change({"gate.py": gate, "src/main.py": "x"}))) is None
    assert refusal_kind(submission(scaffold, change({"gate.py": gate + "#"}))) is FailureKind.OWNERSHIP
    assert refusal_kind(submission(scaffold, change({"src/main.py": "x"}))) is FailureKind.FORMAT
    assert refusal_kind(submission(fix_of(scaffold), change({"gate.py": gate}))) is None
    assert refusal_kind(submission(task("users"), change({"gate.py": gate}))) is FailureKind.OWNERSHIP


def test_a_credential_is_refused_and_not_repeated() -> None:
    verdict = decide(submission(task("users"), change({"src/users.py": f"KEY = '''{PEM}'''"})))
    assert isinstance(verdict, Refused)
    assert verdict.failure.kind is FailureKind.SECRET
    assert verdict.failure.output == "src/users.py:1: private key"


def test_ordinary_test_values_are_no_credentials() -> None:
    text = "password='secret123' token='sk-test' jwt_secret='change-me-in-production-please-0123456789'"
    assert refusal_kind(submission(task("users"), change({"src/users.py": text}))) is None


def test_an_unknown_base_goes_back_without_blame() -> None:
    assert isinstance(
        decide(submission(task("users"), change({"src/users.py": "x"}, base="b" * 40))), Unusable
    )
