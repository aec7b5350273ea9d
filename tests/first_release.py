"""The files that the first release installed, recorded in first_release.tar.xz, which every later release must upgrade.

`procman install` of commit db46990 created them on a booted host (tests/host); the archive is never created again.
Below `disk` are two projects: `old-systemd`, in system scope under systemd, and `old-supervisor`, in user scope with
the home /srv/old-supervisor, under procman's own supervisord. Each has a worker, beat and the watcher, and a state with
one generation, one event and one hold, without logs and files of running programs. Below `interrupted` are pending.json
and manifest.json of a second install of each, which was killed while it restarted the worker.
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

AGENT_FILES = {
    *("asking.py", "beat_hooks.py", "environment_file.py", "heartbeat.py", "launcher.py", "notify.py", "observed.py"),
    *("run_files.py", "self_healing.py", "settings.py", "threads.py", "verdict.py", "worker_hooks.py"),
}

RENAMED = {
    "asking.py": "queue_poller.py",
    "notify.py": "sd_notify.py",
    "observed.py": "worker_state.py",
    "threads.py": "native_threads.py",
}
"""Files of the agent, by their names in the first release."""


def unpacked() -> bytes:
    """Return the archive as a plain tar."""
    return lzma.decompress(ARCHIVE.read_bytes())


def member(name: str) -> bytes:
    """Return the content of one file of the archive."""
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile(name)
        assert file is not None, name
        return file.read()
