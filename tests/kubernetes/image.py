"""The only image of the trials: it holds `pause`, and the containers get the rest from this machine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

from tests.kubernetes.build import BINARIES

IMAGE = "docker.io/library/site:1"


def image() -> bytes:
    """Return an image that holds `pause` alone; the project and its Python are mounted from this machine."""
    layer = _tar({"pause": (BINARIES / "pause").read_bytes()})
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    return _tar(
        {
            "layer.tar": layer,
            "config.json": json.dumps(configuration).encode(),
            "manifest.json": json.dumps(manifest).encode(),
        }
    )


def _tar(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()
