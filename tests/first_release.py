"""What the first release left on a disk, recorded in first_release.tar.xz: what every later release must upgrade.

It was made by `procman install` of commit db46990 in a booted host (tests/host), and is never made again. Below `disk`:
`old-systemd`, the system's, under systemd, and `old-supervisor`, a user's whose home is /srv/old-supervisor, under
procman's own supervisord; each with a worker, beat and the watcher, their states with one generation, one event and one
hold, without logs and without what a running program writes. Below `interrupted`: pending.json and manifest.json of a
second install of each that was killed while it restarted the worker.
"""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).with_name("first_release.tar.xz")

HOME = "/srv/old-supervisor"

STATES = {
    "old-systemd": "/var/lib/procman/old-systemd",
    "old-supervisor": f"{HOME}/.local/state/procman/old-supervisor",
}

AGENTS = {
    "old-systemd": "/usr/local/lib/procman/old-systemd",
    "old-supervisor": f"{HOME}/.local/state/procman/old-supervisor/lib",
}

RENAMED = {
    "asking.py": "queue_poller.py",
    "notify.py": "sd_notify.py",
    "observed.py": "worker_state.py",
    "threads.py": "native_threads.py",
}
"""Files of the agent, by what the first release called them."""


def unpacked() -> bytes:
    """Return the archive as a plain tar."""
    return lzma.decompress(ARCHIVE.read_bytes())


def member(name: str) -> bytes:
    """Return the content of one file of the archive."""
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile(name)
        assert file is not None, name
        return file.read()
