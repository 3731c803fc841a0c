"""Make and remove a node's network namespace, its link to this machine, and the few rules for it here."""

from __future__ import annotations

from pathlib import Path

from swarmcluster.errors import CommandError
from swarmcluster.network import NodeNetwork
from swarmcluster.paths import RUN_ROOT
from swarmcluster.shell import run, succeeds

NODE_INTERFACE = "eth0"
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD_BEFORE = RUN_ROOT / "ip_forward.before"
IPTABLES = ("iptables", "-w", "10")


def enter(network: NodeNetwork) -> list[str]:
    """Return the command prefix that runs a program in the node's network, with this machine's mounts."""
    return ["nsenter", f"--net=/run/netns/{network.namespace}", "--"]


def rules(network: NodeNetwork) -> list[list[str]]:
    """Return this machine's iptables rules for the node, each without its `-A`/`-I`/`-D`."""
    mark = ["-m", "comment", "--comment", f"swarmrun:{network.slot}"]
    masquerade = [
        [
            "POSTROUTING",
            "-t",
            "nat",
            "-s",
            str(source),
            "!",
            "-o",
            network.host_interface,
            *mark,
            "-j",
            "MASQUERADE",
        ]
        for source in (network.link, network.pods)
    ]
    accept = [["FORWARD", way, network.host_interface, *mark, "-j", "ACCEPT"] for way in ("-i", "-o")]
    return [*masquerade, *accept]


def create(network: NodeNetwork) -> None:
    """Make namespace, link, routes and rules; whatever is there already stays."""
    name, outer = network.namespace, network.host_interface
    if not Path("/run/netns", name).exists():
        run(["ip", "netns", "add", name])
    inside = enter(network)
    if not Path("/sys/class/net", outer).exists():
        peer = ["peer", "name", NODE_INTERFACE, "netns", name]
        run(["ip", "link", "add", outer, "type", "veth", *peer])
        run(["ip", "address", "add", f"{network.host_ip}/30", "dev", outer])
        run(["ip", "link", "set", outer, "up"])
        run([*inside, "ip", "link", "set", "lo", "up"])
        run([*inside, "ip", "address", "add", f"{network.node_ip}/30", "dev", NODE_INTERFACE])
        run([*inside, "ip", "link", "set", NODE_INTERFACE, "up"])
        run([*inside, "ip", "route", "add", "default", "via", network.host_ip])
    run([*inside, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    for destination in (network.pods, network.services):
        run(["ip", "route", "replace", str(destination), "via", network.node_ip])
    _forwarding_on()
    for rule in rules(network):
        if not succeeds([*IPTABLES, "-C", *rule]):
            run([*IPTABLES, "-I", *rule])


def destroy(network: NodeNetwork, *, last: bool) -> None:
    """Remove rules, link and namespace, and with it every interface and chain inside.

    Args:
        network: the node's addresses.
        last: no other node is left, so this machine's forwarding goes back to what it was.
    """
    for rule in rules(network):
        if succeeds([*IPTABLES, "-C", *rule]):
            run([*IPTABLES, "-D", *rule])
    for argv in (["ip", "link", "del", network.host_interface], ["ip", "netns", "del", network.namespace]):
        try:
            run(argv)
        except CommandError as error:
            if not any(text in str(error) for text in ("Cannot find device", "No such file")):
                raise
    if last and FORWARD_BEFORE.exists():
        FORWARD.write_text(FORWARD_BEFORE.read_text())
        FORWARD_BEFORE.unlink()


def _forwarding_on() -> None:
    before = FORWARD.read_text()
    if before.strip() == "1":
        return
    RUN_ROOT.mkdir(parents=True, exist_ok=True)
    if not FORWARD_BEFORE.exists():
        FORWARD_BEFORE.write_text(before)
    FORWARD.write_text("1\n")
