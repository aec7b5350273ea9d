"""Verify units with systemd's own parser, together with the host's units, before they are installed (R6)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from procman.host import systemd_host
from procman.model import Scope

STRICT_ERRORS = 250
"""Since this version, `systemd-analyze verify` fails for an invalid line; earlier versions only print a warning."""


def verify_units(scope: Scope, place: Path, staged: Mapping[str, str], version: int) -> list[str]:
    """Return the problems that systemd's parser finds in the units `staged`, read together with the host's units.

    `staged` maps names to contents; a name can be that of a drop-in, `NAME.service.d/FILE.conf`. `place` is the
    directory in which they will be installed, and `version` that of the host's systemd.
    """
    units = [name for name in staged if "/" not in name]
    with tempfile.TemporaryDirectory(prefix="procman-") as directory:
        for name, content in staged.items():
            path = Path(directory, name)
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        strict = ["--recursive-errors=no"] if version >= STRICT_ERRORS else []
        words = [*systemd_host.of_scope("systemd-analyze", scope), "verify", "--man=no", *strict, *units]
        done = systemd_host.run(words, 60, unit_path=f"{directory}:")
    lines = [line.replace(directory, str(place)) for line in done.stderr.splitlines() if line.strip()]
    ours = [line for line in lines if any(name in line for name in units)]
    if strict and done.status == 0:
        return []
    if done.status and not lines:
        return [f"systemd-analyze verify exited with status {done.status} and printed nothing"]
    return list(dict.fromkeys(ours or (lines if done.status else ())))
