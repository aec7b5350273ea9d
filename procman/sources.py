"""Name an existing program, in the text that the key `adopts` holds: `systemd:celery.service`."""

from __future__ import annotations

from typing import NamedTuple

SUPERVISOR, SYSTEMD, INIT_D, PROCFILE = "supervisor", "systemd", "init.d", "procfile"

FORMS = {
    SUPERVISOR: "supervisor:FILE:PROGRAM",
    SYSTEMD: "systemd:UNIT or, for one node of celery multi, systemd:UNIT:NODE",
    INIT_D: "init.d:SCRIPT or, for one node of celery multi, init.d:SCRIPT:NODE",
    PROCFILE: "procfile:FILE:PROGRAM",
}
"""The forms of a source, by its scheme."""

HAS_FILE = (SUPERVISOR, PROCFILE)
"""Schemes whose first part is the absolute path of a file and whose second part is required."""


class Source(NamedTuple):
    """An existing program, by what runs it."""

    scheme: str
    """A key of FORMS."""
    place: str
    """The file, unit or script that defines it."""
    name: str = ""
    """Its name in that file; the node, if one unit or script runs several; otherwise empty."""

    def __str__(self) -> str:
        return ":".join((self.scheme, self.place, self.name) if self.name else (self.scheme, self.place))


def source_in(text: str) -> Source | None:
    """Return the source that `text` names; None if it has none of FORMS."""
    scheme, _, rest = text.partition(":")
    if scheme not in FORMS or not rest.isprintable():
        return None
    if scheme in HAS_FILE:
        # A path may contain a colon, a name of supervisord or honcho cannot.
        place, _, name = rest.rpartition(":")
        return Source(scheme, place, name) if place.startswith("/") and name else None
    place, _, name = rest.partition(":")
    return Source(scheme, place, name) if place and "/" not in place and "/" not in name else None
