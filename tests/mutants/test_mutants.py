"""The runner of `make mutate-queue`, on changes of one script; that command tries the list itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hack.mutants.__main__ import SCRIPTS, check_fit, survivors
from hack.mutants.catalogue import CATALOGUE
from hack.mutants.mutant import Mutant, MutantError
from hack.mutants.trial import Outcome, Suite, Verdict, try_mutant

CLAIMS = Suite(
    ("-m", "redis", "-k", "stale_holder and not valkey and not cluster", "tests/contract/test_claims.py")
)
GUARD = "if not holds(id, token) then return 'STALE' end"


def heartbeat(name: str, new: str) -> Mutant:
    return Mutant(name, "heartbeat", GUARD, new, "a stale worker learns that it is stale")


def test_every_mutant_of_the_list_fits_the_scripts() -> None:
    check_fit(CATALOGUE)
    assert len(CATALOGUE) >= 100


@pytest.mark.redis
def test_a_mutant_that_breaks_a_promise_is_killed_and_one_that_changes_nothing_survives() -> None:
    told: list[tuple[str, Outcome]] = []
    breaking = heartbeat("breaking", "")
    idle = heartbeat("idle", GUARD + "  -- as before")

    alive = survivors([breaking, idle], CLAIMS, 1, lambda mutant, end: told.append((mutant.name, end)))

    assert alive == [idle]
    ends = {name: (end.verdict, "test_a_stale_holder_changes_nothing" in end.by) for name, end in told}
    assert ends == {"breaking": (Verdict.KILLED, True), "idle": (Verdict.SURVIVED, False)}


@pytest.mark.redis
def test_a_mutant_that_is_no_lua_proves_nothing() -> None:
    with pytest.raises(MutantError, match="does not compile"):
        try_mutant(heartbeat("no-lua", "if not"), CLAIMS)


def test_tests_that_do_not_run_prove_nothing() -> None:
    nothing = Suite(("tests/contract/test_claims.py", "-k", "no_such_test"))
    with pytest.raises(MutantError, match="names no failed test"):
        try_mutant(None, nothing)


@pytest.mark.parametrize(
    ("script", "old", "words"),
    [
        ("heartbeat", "no such text", "found 0 times"),
        ("heartbeat", "token", "found"),
        ("none", "x", "cannot read"),
    ],
)
def test_a_mutant_that_does_not_fit_is_refused(script: str, old: str, words: str) -> None:
    with pytest.raises(MutantError, match=words):
        check_fit([Mutant("unfit", script, old, "", "nothing")])


def test_the_scripts_themselves_stay_as_they_are(tmp_path: Path) -> None:
    before = (SCRIPTS / "heartbeat.lua").read_text()
    (tmp_path / "heartbeat.lua").write_text(before)
    heartbeat("breaking", "").apply(tmp_path)
    assert GUARD not in (tmp_path / "heartbeat.lua").read_text()
    assert (SCRIPTS / "heartbeat.lua").read_text() == before


def test_two_mutants_of_one_name_are_refused() -> None:
    with pytest.raises(MutantError, match="must be unique"):
        check_fit([heartbeat("one", ""), heartbeat("one", "")])
