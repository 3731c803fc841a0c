"""The forms of REDIS_URL, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from swarmrun.queue.redis import connect
from swarmrun.queue.redis_store import open_store
from swarmrun.queue.redis_url import Kind, parse_location


@pytest.mark.parametrize("url", ["redis://store", "rediss://store:6380/2", "unix:///run/redis.sock?db=1"])
def test_one_server_is_reached_as_redis_py_does(url: str) -> None:
    assert parse_location(url).kind is Kind.SINGLE


def test_sentinels_are_listed_with_the_name_they_watch() -> None:
    location = parse_location("rediss+sentinel://a:1,[::1]:2,c/mymaster/3?ssl_check_hostname=false")
    assert location.kind is Kind.SENTINEL
    assert location.hosts == (("a", 1), ("::1", 2), ("c", 26379))
    assert location.service == "mymaster"
    assert (location.options["db"], location.options["ssl_check_hostname"]) == (3, False)
    assert "host" not in location.options


def test_a_cluster_is_named_by_some_of_its_nodes() -> None:
    location = parse_location("redis+cluster://a:1,b")
    assert (location.kind, location.hosts) == (Kind.CLUSTER, (("a", 1), ("b", 6379)))


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("store:6379", "must be a URL"),
        ("http://store", "must be a known form"),
        ("redis+proxy://store", "must be a known form"),
        ("unix+cluster://store", "must be a known form"),
        ("unix://", "must name a socket"),
        ("redis+sentinel://a:1", "must end in the name"),
        ("redis+cluster://a:1/0", "a cluster has one database"),
        ("redis+cluster://", "must name at least one host"),
        ("redis+cluster://a:x", "must be HOST:PORT"),
        ("redis://store:notaport", "must be well formed"),
    ],
)
def test_a_wrong_url_is_told_by_rule_and_fix(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule) as caught:
        open_store(url)
    assert str(caught.value).startswith("REDIS_URL: ")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
def test_a_password_in_the_url_is_refused_and_not_repeated(scheme: str) -> None:
    with pytest.raises(ValueError, match="must carry no credentials") as caught:
        open_store(f"{scheme}://user:geheim@store:6379/x")
    assert "geheim" not in str(caught.value)


def test_a_client_of_one_server_cannot_be_had_of_many() -> None:
    with pytest.raises(ValueError, match="names a cluster"):
        connect("redis+cluster://a:1")
