"""Cache keys, the choice of Go and of the image builder, archives, registry settings."""

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from swarmcluster import build, engines, golang, images, oci
from swarmcluster.errors import UsageError
from swarmcluster.paths import GO_DIR


def test_the_cache_key_follows_sources_flags_and_platform() -> None:
    files = {"go.mod": b"a", "main.go": b"b"}
    base = build.key(files, ["-trimpath"], "linux")
    assert base == build.key(dict(reversed(files.items())), ["-trimpath"], "linux")
    assert base != build.key({**files, "main.go": b"c"}, ["-trimpath"], "linux")
    assert base != build.key(files, [], "linux")
    assert base != build.key(files, ["-trimpath"], "other")


def test_bytes_do_not_move_between_files_unnoticed() -> None:
    assert build.key({"a": b"xy", "b": b""}, [], "t") != build.key({"a": b"x", "b": b"y"}, [], "t")


def test_the_version_is_stamped_where_kubectl_and_servers_read_it() -> None:
    flags = " ".join(build.program("kubernetes").flags())
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
        assert f"-X {package}.gitVersion=v{build.KUBERNETES_VERSION}" in flags


def test_the_stamped_version_is_the_required_one() -> None:
    required = (GO_DIR / "kubernetes" / "go.mod").read_text()
    assert f"k8s.io/kubernetes v{build.KUBERNETES_VERSION}" in required
    assert f"helm.sh/helm/v4 v{build.HELM_VERSION}" in (GO_DIR / "helm" / "go.mod").read_text()


def test_an_unknown_program_is_refused_with_the_allowed_names() -> None:
    with pytest.raises(UsageError, match="kubernetes, coredns"):
        build.program("docker")


@pytest.mark.parametrize(
    ("text", "enough"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.25.9 linux/amd64", False),
        ("go version go2.0 linux/amd64", True),
        ("go version devel", False),
    ],
)
def test_go_must_be_new_enough(text: str, *, enough: bool) -> None:
    assert golang.new_enough(golang.parse_version(text)) is enough


def test_a_docker_command_without_its_engine_is_passed_over() -> None:
    assert engines.find(usable=lambda name: name == "buildah", wanted="") == "buildah"
    with pytest.raises(UsageError, match="setup-packages"):
        engines.find(usable=lambda _: False, wanted="")


def test_a_docker_command_that_reaches_no_daemon_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / "docker"
    command.write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert not engines.works.__wrapped__("docker")
    command.write_text("#!/bin/sh\nexit 0\n")
    assert engines.works.__wrapped__("docker")


def test_the_wanted_engine_is_used_or_refused_at_once() -> None:
    assert engines.find(usable=lambda _: True, wanted="buildah") == "buildah"
    with pytest.raises(UsageError, match="CONTAINER_ENGINE=docker: `docker info` fails"):
        engines.find(usable=lambda name: name == "podman", wanted="docker")
    with pytest.raises(UsageError, match="must be one of docker, podman, buildah"):
        engines.find(usable=lambda _: True, wanted="nerdctl")


def test_buildah_gets_mounts_and_proxies_and_docker_no_mounts() -> None:
    settings = {
        "file": Path("D"),
        "tag": "localhost/x:1",
        "context": Path(),
        "arguments": {"A": "1"},
        "mounts": [(Path("/h"), "/c")],
        "environment": {"HTTPS_PROXY": "proxy"},
    }
    buildah = engines.build_command("buildah", **settings)  # type: ignore[arg-type]  # one dict for both calls
    docker = engines.build_command("docker", **settings)  # type: ignore[arg-type]  # one dict for both calls
    assert "/h:/c:ro" in buildah
    assert "HTTPS_PROXY=proxy" in docker
    assert "-v" not in docker


def test_an_archive_is_a_valid_and_reproducible_image(tmp_path: Path) -> None:
    source = tmp_path / "pause"
    source.write_bytes(b"binary")
    for name in ("one.tar", "two.tar"):
        oci.write_archive(
            tmp_path / name, tag="localhost/p:1", files={"/pause": source}, config={"User": "1"}
        )
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        blobs = {member.name: tar.extractfile(member) for member in tar}
        contents = {name: stream.read() for name, stream in blobs.items() if stream is not None}
    index = json.loads(contents["index.json"])
    assert index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] == "localhost/p:1"
    for name, data in contents.items():
        if name.startswith("blobs/"):
            assert name.endswith(hashlib.sha256(data).hexdigest())


def test_only_settings_about_reaching_the_archive_enter_a_build() -> None:
    dump = (
        'Acquire::http::Proxy "p";\nAcquire::Check-Date "false";\nDir::Etc "etc/apt";\nAcquire::https "";\n'
    )
    assert images.apt_config(dump) == 'Acquire::http::Proxy "p";\nAcquire::Check-Date "false";\n'


def test_pips_environment_wins_over_its_files_and_local_folders_stay_out() -> None:
    listing = (
        "global.cert='/a.crt'\n:env:.cert='/b.crt'\n:env:.find-links='/opt/wheels'\ninstall.timeout='3'\n"
        "global.extra-index-url='one\\ntwo'\n"
    )
    assert images.pip_config(listing) == "[global]\ncert = /b.crt\nextra-index-url = one\n  two\n"
    assert images.pip_config("") == ""
