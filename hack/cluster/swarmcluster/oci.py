"""Write a one-layer OCI image archive with the standard library, so that scratch images need no engine."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
Json = dict[str, object]


def architecture() -> str:
    """Return this machine's architecture in OCI's words."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def _layer(files: Mapping[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, source in sorted(files.items()):
            data = source.read_bytes()
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size = len(data)
            info.mode = 0o755
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def write_archive(target: Path, *, tag: str, files: Mapping[str, Path], config: Json) -> None:
    """Write an OCI archive of an image from scratch, atomically and byte for byte reproducibly.

    Args:
        target: the archive's path.
        tag: the full image name, e.g. `localhost/swarmrun-pause:1`.
        files: path inside the image → file on this machine; all become executable.
        config: the image's `config` object: Entrypoint, User, …
    """
    layer = _layer(files)
    blobs: dict[str, bytes] = {}

    def add(data: bytes, media_type: str) -> Json:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    layer_ref = add(layer, "application/vnd.oci.image.layer.v1.tar")
    image = {
        "architecture": architecture(),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer_ref["digest"]]},
    }
    config_ref = add(json.dumps(image, sort_keys=True).encode(), "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_ref,
        "layers": [layer_ref],
    }
    manifest_ref = add(
        json.dumps(manifest, sort_keys=True).encode(), "application/vnd.oci.image.manifest.v1+json"
    )
    names = {"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag}
    index = {"schemaVersion": 2, "manifests": [{**manifest_ref, "annotations": names}]}
    entries = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **blobs,
    }
    _write_tar(target, entries)


def _write_tar(target: Path, entries: Mapping[str, bytes]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    with tarfile.open(scratch, "w") as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = 0o644
            tar.addfile(info, io.BytesIO(data))
    scratch.rename(target)
