"""The connection's settings: secrets from files, TLS with certificates from a folder, Unix sockets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_server import RedisServer
from redis_tls import Authority, tls_options
from redis_topologies import free_ports
from swarmrun.queue.redis import RedisQueue
from swarmrun.queue.redis_settings import RedisSettings
from swarmrun.queue.rules import QueueUnavailable

LOGIN = ("--user", "operator", "on", ">secret", "~*", "&*", "+@all", "--user", "default", "off")


async def opens(settings: RedisSettings) -> bool:
    """Try the connection; tells whether it works."""
    store = settings.store()
    try:
        queue = RedisQueue(store.run("uid"), "uid")
        await queue.open(1)
        await queue.purge()
    except QueueUnavailable:
        return False
    finally:
        await store.aclose()
    return True


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture(params=["no", "yes"])
def encrypted(
    request: pytest.FixtureRequest, authority: Authority, tmp_path: Path
) -> Iterator[tuple[str, bool]]:
    """A server that speaks TLS only, and whether it wants certificates of its clients."""
    (port,) = free_ports(1)
    options = tls_options(authority.issue(tmp_path / "server"), port, clients=request.param)
    server = RedisServer(tmp_path, *options)
    server.start()
    yield f"rediss://127.0.0.1:{port}", request.param == "yes"
    server.stop()


@pytest.mark.redis
async def test_tls_trusts_the_given_authority_and_shows_a_certificate_where_asked(
    encrypted: tuple[str, bool], authority: Authority, tmp_path: Path
) -> None:
    url, asks_clients = encrypted
    bare = authority.issue(tmp_path / "bare", with_key=False)
    whole = authority.issue(tmp_path / "whole")
    strange = Authority(tmp_path / "other", "another authority").issue(tmp_path / "strange")
    assert await opens(RedisSettings(redis_url=url, redis_tls_dir=whole))
    assert await opens(RedisSettings(redis_url=url, redis_tls_dir=bare)) is not asks_clients
    assert not await opens(RedisSettings(redis_url=url, redis_tls_dir=strange))
    assert not await opens(RedisSettings(redis_url=url))


@pytest.mark.redis
async def test_a_rotated_certificate_is_used_by_the_next_connection(
    encrypted: tuple[str, bool], authority: Authority, tmp_path: Path
) -> None:
    url, _ = encrypted
    mounted = Authority(tmp_path / "other", "another authority").issue(tmp_path / "mounted")
    store = RedisSettings(redis_url=url, redis_tls_dir=mounted).store()
    queue = RedisQueue(store.run("uid"), "uid")
    with pytest.raises(QueueUnavailable):
        await queue.open(1)
    shutil.rmtree(mounted)
    authority.issue(mounted)
    await queue.open(1)
    await store.aclose()


@pytest.mark.redis
async def test_user_and_password_come_from_files(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, *LOGIN)
    (tmp_path / "user").write_text("operator\n")
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "wrong").write_text("guess\n")
    server.start()
    for file, fits in (("password", True), ("wrong", False)):
        settings = RedisSettings(
            redis_url=server.url, redis_username_file=tmp_path / "user", redis_password_file=tmp_path / file
        )
        assert await opens(settings) is fits
    assert not await opens(RedisSettings(redis_url=server.url))
    server.kill()


def test_an_empty_secret_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")
    settings = RedisSettings(redis_url="redis://store", redis_password_file=tmp_path / "password")
    with pytest.raises(ValueError, match=r"password: must hold a secret"):
        settings.store()


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("certificate")
    monkeypatch.setenv("REDIS_URL", "rediss+sentinel://a:1/mymaster")
    monkeypatch.setenv("SWARM_REDIS_TLS_DIR", str(tmp_path))
    settings = RedisSettings()
    assert settings.tls_files() == {"ca.crt": "certificate"}
    monkeypatch.setenv("REDIS_URL", "redis://user:geheim@store")
    with pytest.raises(ValueError, match="must carry no credentials") as caught:
        RedisSettings()
    assert "geheim" not in str(caught.value)
