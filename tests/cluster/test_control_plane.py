"""The real control plane starts, is found running, and leaves nothing."""

from pathlib import Path

import pytest

from swarmcluster import api, build, process, state
from swarmcluster.errors import UsageError
from swarmcluster.ready import Api

pytestmark = [
    pytest.mark.controlplane,
    pytest.mark.skipif(
        not build.is_built("kubernetes"), reason="run `hack/cluster/cluster build kubernetes`"
    ),
]


def test_a_control_plane_starts_once_and_is_removed_without_a_trace(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    info = api.start("test-plane", folder, control_plane_only=True)
    try:
        started = state.load_processes(folder)
        cluster = api.existing("test-plane", folder)
        assert Api(cluster).get("/version") is not None
        assert info.kubeconfig.stat().st_mode & 0o077 == 0
        assert api.start("test-plane", folder, control_plane_only=True) == info
        assert state.load_processes(folder) == started
        with pytest.raises(UsageError, match="control plane only"):
            api.start("test-plane", folder, control_plane_only=False)
    finally:
        assert api.stop("test-plane", folder)
    assert not any(process.alive(found) for found in started.values())
    assert list(tmp_path.iterdir()) == []
