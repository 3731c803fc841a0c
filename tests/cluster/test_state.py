"""Stored facts survive; damaged or foreign ones are refused with a remedy."""

import threading
from pathlib import Path

import pytest

from swarmcluster import down, paths, state
from swarmcluster.errors import ClusterError, UsageError
from swarmcluster.locks import locked
from swarmcluster.process import Process
from swarmcluster.state import Cluster, Ports


def test_a_cluster_is_read_back_as_it_was_stored(tmp_path: Path) -> None:
    cluster = Cluster("dev", tmp_path / "dev", Ports(1, 2, 3, 4), slot=None)
    state.save(cluster)
    assert state.load(cluster.state) == cluster
    assert cluster.state.stat().st_mode & 0o077 == 0


def test_no_file_is_no_cluster(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None
    assert state.load_processes(tmp_path) == {}


def test_a_damaged_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / state.FACTS).write_text("{}")
    with pytest.raises(UsageError, match=str(tmp_path)):
        state.load(tmp_path)


def test_processes_are_read_back_as_they_were_stored(tmp_path: Path) -> None:
    processes = {"etcd": Process(7, 99, "boot")}
    state.save_processes(tmp_path, processes)
    assert state.load_processes(tmp_path) == processes


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 21])
def test_a_name_that_is_no_label_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must be"):
        paths.check_name(name)


def test_mounts_are_taken_down_deepest_first_and_only_inside() -> None:
    mountinfo = (
        "1 0 8:1 / / rw - ext4 x rw\n"
        "2 1 8:1 / /s/dev/a rw - ext4 x rw\n"
        "3 2 8:1 / /s/dev/a/b\\040c rw - ext4 x rw\n"
        "4 1 8:1 / /s/dev-other rw - ext4 x rw\n"
    )
    assert down.mounts_below(mountinfo, Path("/s/dev")) == ["/s/dev/a/b c", "/s/dev/a"]


def test_a_held_lock_is_waited_for_and_then_named(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    with locked(lock, timeout=1), pytest.raises(ClusterError, match=r"x\.lock"), locked(lock, timeout=0.1):
        pass


def test_whoever_waited_for_a_deleted_lock_takes_the_new_file(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    got = threading.Event()

    def wait() -> None:
        with locked(lock, timeout=10):
            got.set()
            assert lock.exists()

    with locked(lock, timeout=1):
        waiter = threading.Thread(target=wait)
        waiter.start()
        assert not got.wait(0.3)
        lock.unlink()
    waiter.join(timeout=10)
    assert got.is_set()
