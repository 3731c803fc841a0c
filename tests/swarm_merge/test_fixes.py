from __future__ import annotations

from merge_values import fix_of, task, test_task
from swarm_merge.fixes import FIX_PRIORITY
from swarmrun.core.task import TaskType


def test_a_fix_owns_what_its_target_owns_and_reads_its_tests() -> None:
    target = task(
        "users", reads=("src/db.py",), tests=("tests/test_users.py",), spec={"resource": {"name": "u"}}
    )
    fix = fix_of(target)
    assert (fix.id, fix.type, fix.fix_of) == ("fix.users", TaskType.FIX_BUG, "users")
    assert (fix.owned, fix.tests, fix.depends_on) == (target.owned, target.tests, ())
    assert fix.reads == ("src/db.py", "tests/test_users.py")
    assert fix.priority == FIX_PRIORITY
    assert fix.spec == {
        "resource": {"name": "u"},
        "target": {"id": "users", "type": "implement_endpoint", "title": "Do users"},
    }


def test_the_fix_of_tests_owns_the_code_and_never_the_tests() -> None:
    fix = fix_of(test_task("users", "users"), ("src/users.py",))
    assert fix.owned == ("src/users.py",)
    assert fix.tests == ("tests/test_users.py",)


def test_a_long_target_still_gives_a_valid_and_distinct_id() -> None:
    first, second = (fix_of(task("a" * 118 + end)) for end in "xy")
    assert len(first.id) <= 120
    assert first.id != second.id
