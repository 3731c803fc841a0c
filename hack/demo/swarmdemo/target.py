"""Where the demo runs: the cluster that KUBECONFIG names, or a real node of our own."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from swarmcluster import api, build
from swarmcluster.progress import say
from swarmdemo import images
from swarmdemo.settings import Settings
from swarmdemo.shell import Tools


@dataclass(frozen=True)
class Target:
    """A cluster with all images in it."""

    tools: Tools
    images: images.Built
    own: bool


def prepare(settings: Settings) -> Target:
    """Have a cluster and the images, side by side."""
    given = os.environ.get("KUBECONFIG")
    return _given(Path(given)) if given else _own(settings)


def _given(kubeconfig: Path) -> Target:
    registry = os.environ.get("IMAGE_REGISTRY", "localhost")
    built = images.build_all(registry, public_bases=True)
    build.ensure_all(["helm"])
    images.deliver_elsewhere(images.context_of(kubeconfig), built)
    return Target(Tools(kubeconfig, build.path_dir()), built, own=False)


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
