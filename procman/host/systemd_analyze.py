"""Units as systemd's own reader sees them beside the host's, before they are put in place (R6)."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from procman.host import systemd_host
from procman.model import Scope

STRICT_ERRORS = 250
"""From this version on `systemd-analyze verify` fails for a wrong line; before, it only says so."""


def verify_units(scope: Scope, place: Path, staged: Mapping[str, str], version: int) -> list[str]:
    """Return what is wrong with the units STAGED, by name, as systemd's own reader sees them beside the host's.

    They are to stand in the directory PLACE. A name may be that of a drop-in, `NAME.service.d/FILE.conf`. VERSION is
    that of the systemd here.
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
    said = [line.replace(directory, str(place)) for line in done.stderr.splitlines() if line.strip()]
    ours = [line for line in said if any(name in line for name in units)]
    if strict and done.status == 0:
        return []
    if done.status and not said:
        return [f"systemd-analyze verify ended with status {done.status} and said nothing"]
    return list(dict.fromkeys(ours or (said if done.status else ())))
