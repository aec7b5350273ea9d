"""Read the file in which the keeper of a worker that overlaps describes its processes; it is not trusted (S3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from procman.accounts import user_id
from procman.agent.slots import STATE
from procman.agent.strict_json import parse
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram

MOST_BYTES = 65536


def keeper_state(manifest: Manifest, program: InstalledProgram) -> Mapping[str, Any]:
    """Return what a keeper of `program` wrote last; empty if there is nothing, or nothing that can be read."""
    if not program.overlap_max:
        return {}
    owners = frozenset({0, user_id(program.user) or 0})
    try:
        content = read_untrusted(manifest.directories.run(program.name) / STATE, owners, MOST_BYTES)
        found = parse((content or b"{}").decode("utf-8"), most=MOST_BYTES)
    except (UntrustedFile, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
