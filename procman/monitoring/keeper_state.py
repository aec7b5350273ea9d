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
    try:
        return _read(manifest, program)
    except (UntrustedFile, ValueError):
        return {}


def unusable_state(manifest: Manifest, program: InstalledProgram, keeper: int) -> str:
    """Return why what the process `keeper` reports cannot be used, if its form is not the reason."""
    path = manifest.directories.run(program.name) / STATE
    try:
        state = _read(manifest, program)
    except UntrustedFile as error:
        return str(error)
    except ValueError:
        return f"{path} is not valid"
    if not state:
        return f"{path} is missing or empty"
    return f"{path} is not valid" if state.get("pid") == keeper else f"{path} was written by another process"


def _read(manifest: Manifest, program: InstalledProgram) -> Mapping[str, Any]:
    owners = frozenset({0, user_id(program.user) or 0})
    content = read_untrusted(manifest.directories.run(program.name) / STATE, owners, MOST_BYTES)
    found = parse((content or b"{}").decode("utf-8"), most=MOST_BYTES)
    return found if isinstance(found, dict) else {}
