"""What the machine lacks is said at once, each with its remedy."""

from swarmcluster.packages import missing
from swarmcluster.preflight import GIB, Facts, available_memory, decide

GOOD = Facts(root=True, python=(3, 11), memory=16 * GIB, disk=50 * GIB, state_path="/home/x/state")


def test_a_good_machine_has_no_problem() -> None:
    assert decide(GOOD, control_plane_only=False) == []


def test_every_problem_is_named_with_a_remedy() -> None:
    bad = Facts(
        root=False,
        python=(3, 9),
        memory=1 * GIB,
        disk=1 * GIB,
        state_path="/x" * 40,
        missing_packages=("containerd", "runc"),
        busy_ports=(16443,),
        address_error="no free address range",
        registries={"pip": "timeout"},
    )
    problems = decide(bad, control_plane_only=False)
    text = "\n".join(problem.what for problem in problems)
    for word in ("3.9", "root", "memory", "disk", "containerd, runc", "16443", "--state", "address", "pip"):
        assert word in text
    assert all(problem.remedy for problem in problems)


def test_a_control_plane_needs_neither_root_nor_much_memory() -> None:
    small = Facts(root=False, python=(3, 12), memory=3 * GIB, disk=4 * GIB, state_path="/x" * 40)
    assert decide(small, control_plane_only=True) == []
    assert len(decide(small, control_plane_only=False)) == 4


def test_available_memory_is_read_in_bytes() -> None:
    assert available_memory("MemTotal: 9 kB\nMemAvailable:   2048 kB\n") == 2048 * 1024
    assert available_memory("") == 0


def test_only_absent_packages_are_missing() -> None:
    wanted = {"containerd": "containerd", "containernetworking-plugins": "/usr/lib/cni/ptp"}
    assert missing(wanted, present=lambda thing: thing == "containerd") == ["containernetworking-plugins"]
