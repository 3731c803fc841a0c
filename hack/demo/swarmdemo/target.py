"""Where the demo runs: the cluster that KUBECONFIG names, or a real node of our own."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import dataclass

from swarmcluster import api, build
from swarmcluster.images import can_make_base
from swarmcluster.progress import say
from swarmdemo import given, images
from swarmdemo.settings import SYSTEM_NAMESPACE, Settings
from swarmdemo.shell import Tools


@dataclass(frozen=True)
class Target:
    """A cluster with all images in it."""

    tools: Tools
    images: images.Built
    own: bool
    """A node of hack/cluster, which is removed as a whole."""
    cpus: int | None = None
    """CPUs of the cluster; None: it is this machine."""
    volumes: bool = False
    """The cluster makes volumes for claims."""


def prepare(settings: Settings) -> Target:
    """Have a cluster and the images, side by side.

    Raises:
        CannotStartError: KUBECONFIG names no cluster that the demo can run on.
    """
    value = os.environ.get("KUBECONFIG")
    return _given(value, settings) if value else _own(settings)


def tools_for(kubeconfig: str) -> Tools:
    """Return kubectl and helm for a given cluster; what this machine lacks of them is compiled."""
    lacking = {"kubectl": "kubernetes", "helm": "helm"}
    build.ensure_all([program for command, program in lacking.items() if shutil.which(command) is None])
    return Tools(kubeconfig, build.path_dir())


def _given(kubeconfig: str, settings: Settings) -> Target:
    tools = tools_for(kubeconfig)
    facts = given.check(kubeconfig, tools, (SYSTEM_NAMESPACE, settings.namespace))
    say(f"the cluster of context {facts.context!r}, Kubernetes {facts.version[0]}.{facts.version[1]}")
    built = images.build_all(facts.registry or "localhost", public_bases=not can_make_base())
    images.deliver_elsewhere(given.loader(facts), facts.context, built)
    return Target(tools, built, own=False, cpus=given.cpus(tools), volumes=given.has_volumes(tools))


def _own(settings: Settings) -> Target:
    found: dict[str, images.Built] = {}
    errors: list[Exception] = []

    def make_images() -> None:
        try:
            found["images"] = images.build_all("localhost", public_bases=False)
        except Exception as error:  # noqa: BLE001 — carried to the caller's thread below
            errors.append(error)

    thread = threading.Thread(target=make_images)
    thread.start()
    try:
        build.ensure_all(list(build.PROGRAMS))
        info = api.start(settings.cluster)
    finally:
        thread.join()
    if errors:
        raise errors[0]
    say(f"cluster {info.name!r} is ready at {info.api_url}")
    images.deliver_to_node(api.existing(settings.cluster), found["images"])
    return Target(Tools(info.kubeconfig, info.bin_dir), found["images"], own=True)
