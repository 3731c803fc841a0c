"""Processes are known by pid, start time and boot."""

import dataclasses
import os
from pathlib import Path

import pytest

from swarmcluster import process
from swarmcluster.errors import StartError


def test_the_name_in_stat_may_hold_spaces_and_parentheses() -> None:
    text = "77 (a (b) c) S " + " ".join(str(number) for number in range(4, 53))
    assert process.parse_stat(text) == ("S", 22)


def test_this_process_is_alive_and_a_namesake_with_another_start_is_not() -> None:
    mine = process.describe(os.getpid())
    assert mine is not None
    assert process.alive(mine)
    assert not process.alive(dataclasses.replace(mine, start_time=mine.start_time + 1))
    assert not process.alive(dataclasses.replace(mine, boot="another boot"))


def test_a_started_process_is_stopped_and_its_output_is_logged(tmp_path: Path) -> None:
    started = process.spawn(["/bin/sh", "-c", "echo hello; exec sleep 60"], tmp_path / "logs" / "x.log")
    assert process.alive(started)
    process.stop([started])
    assert not process.alive(started)
    assert (tmp_path / "logs" / "x.log").read_text() in {"hello\n", ""}


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    stubborn = process.spawn(
        ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 60; done"], tmp_path / "x.log"
    )
    process.stop([stubborn], grace=0.3)
    assert not process.alive(stubborn)


def test_a_reused_pid_is_left_alone(tmp_path: Path) -> None:
    started = process.spawn(["/bin/sleep", "60"], tmp_path / "x.log")
    process.stop([dataclasses.replace(started, start_time=started.start_time - 1)], grace=0.2)
    assert process.alive(started)
    process.stop([started])


def test_a_program_that_is_not_there_is_a_start_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="/nowhere/x"):
        process.spawn(["/nowhere/x"], tmp_path / "x.log")
