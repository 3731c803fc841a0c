"""The command line of the cluster tool."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from swarmcluster import api, build, down, enforcer, images, node, packages, paths, preflight, status
from swarmcluster.errors import ClusterError, UsageError
from swarmcluster.progress import say

DEFAULT_NAME = "dev"
Handler = Callable[[argparse.Namespace], int]


def _folder(arguments: argparse.Namespace) -> Path:
    return paths.state_dir(arguments.name, arguments.state)


def _build(arguments: argparse.Namespace) -> int:
    names = list(build.PROGRAMS) if arguments.program == "all" else [arguments.program]
    build.ensure_all(names)
    for name in names:
        print(build.binary_dir(name))
    return 0


def _up(arguments: argparse.Namespace) -> int:
    if arguments.control_plane_only and arguments.http_registry:
        raise UsageError("--http-registry: a control plane only runs no image; omit one of the two")
    info = api.start(
        arguments.name, arguments.state, control_plane_only=arguments.control_plane_only, port=arguments.port
    )
    for address in arguments.http_registry:
        node.allow_http_registry(api.existing(arguments.name, arguments.state), address)
    say(f"cluster {info.name!r} is ready at {info.api_url}")
    print(f"export KUBECONFIG={info.kubeconfig}")
    return 0


def _down(arguments: argparse.Namespace) -> int:
    gone = api.stop(arguments.name, arguments.state)
    say(f"cluster {arguments.name!r} is removed" if gone else f"there is no cluster {arguments.name!r}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    reports = status.one(_folder(arguments)) if arguments.name_given else status.every()
    for line in status.render(reports):
        print(line)
    return 0 if reports and all(report.ready for report in reports) else 1


def _load(arguments: argparse.Namespace) -> int:
    cluster = api.existing(arguments.name, arguments.state)
    for image in arguments.image:
        images.load(cluster, image)
    return 0


def _kubeconfig(arguments: argparse.Namespace) -> int:
    print(api.existing(arguments.name, arguments.state).kubeconfig)
    return 0


def _path(_: argparse.Namespace) -> int:
    print(build.path_dir())
    return 0


def _preflight(arguments: argparse.Namespace) -> int:
    problems = preflight.check(
        _folder(arguments),
        control_plane_only=arguments.control_plane_only,
        registries=True,
        before_setup=arguments.before_setup,
    )
    for problem in problems:
        print(f"✗ {problem.what}\n  → {problem.remedy}")
    if not problems:
        print("✓ this machine can run the cluster")
    return 1 if problems else 0


def _clean(_: argparse.Namespace) -> int:
    removed = down.clean()
    say(f"removed: {', '.join(removed) or 'nothing was left'}")
    return 0


def _image(arguments: argparse.Namespace) -> int:
    if arguments.action == "base":
        print(images.base())
        return 0
    if arguments.file is None or arguments.tag is None:
        raise UsageError("image build: --file and --tag must be given")
    pairs = [pair.partition("=") for pair in arguments.build_arg]
    images.build_image(
        arguments.file, arguments.tag, arguments.context, {name: value for name, _, value in pairs}
    )
    print(arguments.tag)
    return 0


def _enforce(arguments: argparse.Namespace) -> int:
    enforcer.enforce(api.existing(arguments.name, arguments.state))
    return 0


def _setup_packages(_: argparse.Namespace) -> int:
    packages.install_missing()
    return 0


def _add_named(command: argparse.ArgumentParser) -> None:
    command.add_argument("--name", default=None, help=f"the cluster's name (default: {DEFAULT_NAME})")
    command.add_argument("--state", type=Path, default=None, metavar="DIR", help="its state folder")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    root = argparse.ArgumentParser(
        prog="cluster", description="A real Kubernetes node from package registries."
    )
    commands = root.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, handler: Handler, summary: str, *, named: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=summary, description=summary)
        command.set_defaults(handler=handler, name=None, state=None)
        if named:
            _add_named(command)
        return command

    make = add("build", _build, "compile what the cache lacks")
    make.add_argument("program", nargs="?", default="all", choices=[*build.PROGRAMS, "all"])
    start = add("up", _up, "start a cluster and wait until it is ready", named=True)
    start.add_argument("--control-plane-only", action="store_true", help="no node: any user, a few seconds")
    start.add_argument("--port", type=int, metavar="P", help="the API server's port (default: a free one)")
    start.add_argument(
        "--http-registry",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a registry without TLS that the node may pull from",
    )
    add("down", _down, "stop a cluster and delete all of it", named=True)
    add("status", _status, "show the clusters and their components", named=True)
    load = add("load", _load, "copy images into the node", named=True)
    load.add_argument("image", nargs="+", help="an image name, or an OCI or Docker archive")
    add("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig", named=True)
    add("path", _path, "print a folder with kubectl, helm and the other commands")
    check = add("preflight", _preflight, "list all that this machine lacks", named=True)
    check.add_argument("--control-plane-only", action="store_true")
    check.add_argument("--before-setup", action="store_true", help="Debian packages may still be missing")
    add("clean", _clean, "remove every cluster and its leftovers")
    image = add("image", _image, "build images with docker, podman or buildah")
    image.add_argument("action", choices=["build", "base"])
    image.add_argument("--file", type=Path, help="the Dockerfile")
    image.add_argument("--tag", help="the image's full name")
    image.add_argument(
        "--context", type=Path, default=Path(), help="the build context (default: this folder)"
    )
    image.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    add("enforce-policies", _enforce, "enforce NetworkPolicies; run by `up` inside the node", named=True)
    add("setup-packages", _setup_packages, "install the Debian packages that the node needs")
    return root


def _interrupt(number: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 done, 1 failed, 130 interrupted."""
    arguments = parser().parse_args(argv)
    arguments.name_given = arguments.name is not None
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        arguments.name = paths.check_name(arguments.name) if arguments.name_given else DEFAULT_NAME
        handler: Handler = arguments.handler
        return handler(arguments)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
