"""Real arrangements of several servers for tests: a cluster of three, and a primary that Sentinels watch.

Both live on 127.0.0.1, in folders of their own, and are gone afterwards. Timeouts are short, so that a
failover takes a second or two.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import pytest
import redis

from redis_server import server_binary

HOST: Final = "127.0.0.1"
_PATIENCE: Final = 15.0
_NODE_TIMEOUT: Final = 500
_SLOTS: Final = 16384
#: Cluster nodes listen to each other on another port, by default this much higher.
_BUS: Final = 10_000
_HIGHEST: Final = 65_535 - _BUS


def free_ports(count: int) -> list[int]:
    """Find free ports whose bus ports are free, too."""
    held: list[socket.socket] = []
    ports: list[int] = []
    try:
        for _ in range(100 * count):
            first = _bound(held, 0)
            if first is None or first > _HIGHEST or _bound(held, first + _BUS) is None:
                continue
            ports.append(first)
            if len(ports) == count:
                return ports
    finally:
        for one in held:
            one.close()
    raise RuntimeError(f"no {count} free ports")


def _bound(held: list[socket.socket], port: int) -> int | None:
    one = socket.socket()
    try:
        one.bind((HOST, port))
    except OSError:
        one.close()
        return None
    held.append(one)
    return int(one.getsockname()[1])


def until(what: str, condition: Callable[[], object]) -> None:
    """Wait until a condition holds; errors of servers that start or die count as "not yet"."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if condition():
                return
        except (redis.RedisError, OSError):
            pass
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited in vain for {what}")


class Process:
    """One server on a port."""

    def __init__(self, folder: Path, port: int, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self._options = folder, port, options
        self.client = redis.Redis(host=HOST, port=port, decode_responses=True, socket_timeout=2)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = ["--port", str(self.port), "--bind", HOST, "--dir", str(self.folder), "--save", ""]
        log = ["--logfile", str(self.folder / "log"), "--daemonize", "no"]
        command = [server_binary(), *config, *log, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        until(f"server on port {self.port}", self.client.ping)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def close(self) -> None:
        self.kill()
        self.client.close()

    def do(self, *words: str | int) -> Any:
        return self.client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py leaves it untyped


#: Durable as in production; a new replica is served at once.
_SERVER: Final = ("--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0")


class Cluster:
    """Three primaries, and one replica of the first."""

    def __init__(self, folder: Path) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(_NODE_TIMEOUT), *_SERVER)
        more = ("--cluster-config-file", "nodes.conf", "--cluster-replica-validity-factor", "0")
        ports = free_ports(4)
        self.nodes = [Process(folder / str(port), port, *options, *more) for port in ports]
        self.url = "redis+cluster://" + ",".join(f"{HOST}:{port}" for port in ports)

    @property
    def primaries(self) -> Sequence[Process]:
        return self.nodes[:3]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        share = _SLOTS // 3 + 1
        for number, node in enumerate(self.primaries):
            first, last = number * share, min((number + 1) * share, _SLOTS) - 1
            node.do("CLUSTER", "ADDSLOTSRANGE", first, last)
            node.do("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            node.do("CLUSTER", "MEET", HOST, self.nodes[0].port)
        first_id, replica = str(self.nodes[0].do("CLUSTER", "MYID")), self.nodes[3]
        until("the replica knows its primary", lambda: first_id in str(replica.do("CLUSTER", "NODES")))
        replica.do("CLUSTER", "REPLICATE", first_id)
        until("the cluster", self._complete)

    def _complete(self) -> bool:
        infos = [str(node.do("CLUSTER", "INFO")) for node in self.nodes]
        agree = all("cluster_state:ok" in info and "cluster_known_nodes:4" in info for info in infos)
        agree = agree and all("slave" in str(node.do("CLUSTER", "NODES")) for node in self.nodes)
        return agree and self.nodes[3].client.info("replication")["master_link_status"] == "up"

    def move(self, slot: int, source: Process, target: Process) -> None:
        """Move a slot and its keys, as a rebalance does."""
        source_id, target_id = source.do("CLUSTER", "MYID"), target.do("CLUSTER", "MYID")
        target.do("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.do("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.do("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.do("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)
        for node in (target, source, *self.primaries):
            node.do("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def give_back(self, node: Process, successor: Process) -> None:
        """Make a primary that was killed, and came back as a replica, the primary again."""
        until("the node follows its successor", lambda: self._follows(node, successor))
        # An accepted request may still time out, so it is repeated; a primary refuses it.
        until("the node leads again", lambda: self._follows(successor, node) or self._ask_back(node))
        until("the cluster", self._complete)

    def _ask_back(self, node: Process) -> bool:
        if node.client.info("replication")["role"] == "slave":
            node.do("CLUSTER", "FAILOVER")
        return False

    def _follows(self, replica: Process, primary: Process) -> bool:
        found = replica.client.info("replication")
        return (found["role"], found.get("master_port"), found.get("master_link_status")) == (
            "slave",
            primary.port,
            "up",
        )

    def stop(self) -> None:
        for node in self.nodes:
            node.close()


class Watched:
    """A primary, a replica, and three Sentinels that agree by two."""

    service: Final = "mymaster"

    def __init__(self, folder: Path) -> None:
        ports = free_ports(5)
        self.primary = Process(folder / "one", ports[0], *_SERVER)
        self.replica = Process(folder / "two", ports[1], *_SERVER, "--replicaof", f"{HOST} {ports[0]}")
        self.sentinels = [self._sentinel(folder, port, ports[2:]) for port in ports[2:]]
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        self.url = f"redis+sentinel://{hosts}/{self.service}"

    def _sentinel(self, folder: Path, port: int, all_ports: Sequence[int]) -> Process:
        """Write its configuration as it would stand after it has found the others, which takes seconds."""
        config = folder / f"sentinel-{port}.conf"
        others = [other for other in all_ports if other != port]
        lines = [
            f"sentinel myid {port:040x}",
            f"sentinel monitor {self.service} {HOST} {self.primary.port} 2",
            f"sentinel down-after-milliseconds {self.service} {_NODE_TIMEOUT}",
            f"sentinel failover-timeout {self.service} 3000",
            f"sentinel known-replica {self.service} {HOST} {self.replica.port}",
            *(f"sentinel known-sentinel {self.service} {HOST} {other} {other:040x}" for other in others),
        ]
        config.write_text("\n".join(lines) + "\n")
        return _Sentinel(folder / f"sentinel-{port}", port, str(config))

    def start(self) -> None:
        for process in (self.primary, self.replica):
            process.start()
        until("replication", lambda: self.replica.client.info("replication")["master_link_status"] == "up")
        for sentinel in self.sentinels:
            sentinel.start()
        until("the Sentinels", lambda: all(self._informed(sentinel) for sentinel in self.sentinels))

    def fail_over(self) -> None:
        """Have the Sentinels promote the replica, and wait until they name it."""
        self.sentinels[0].do("SENTINEL", "FAILOVER", self.service)
        until("the Sentinels name the replica", lambda: all(map(self._names_replica, self.sentinels)))

    def _names_replica(self, sentinel: Process) -> bool:
        state = cast("dict[str, Any]", sentinel.client.sentinel_master(self.service))
        return int(state["port"]) == self.replica.port

    def _informed(self, sentinel: Process) -> bool:
        state = cast("dict[str, Any]", sentinel.client.sentinel_master(self.service))
        healthy = not state["is_sdown"] and state["flags"] == "master"
        return healthy and (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)

    def stop(self) -> None:
        for process in (*self.sentinels, self.replica, self.primary):
            process.close()


class _Sentinel(Process):
    """The same binary in Sentinel mode; its configuration file is rewritten by it."""

    def __init__(self, folder: Path, port: int, config: str) -> None:
        super().__init__(folder, port)
        self._config = config

    def start(self) -> None:
        command = [server_binary(), self._config, "--sentinel", "--port", str(self.port), "--bind", HOST]
        log = ["--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        self._process = subprocess.Popen(
            [*command, *log], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait()


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the whole session; tests leave it as it was."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def redis_watched(tmp_path: Path) -> Iterator[Watched]:
    """A primary that Sentinels watch, to be killed."""
    watched = Watched(tmp_path)
    try:
        watched.start()
        yield watched
    finally:
        watched.stop()
