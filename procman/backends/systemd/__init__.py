"""systemd, the host's or a user's: files, verification, control."""

from __future__ import annotations

from procman.backends.base import Backend, Watcher

BACKEND = Backend(
    name="systemd",
    watcher=Watcher.TIMER,
    identity=(),
    logs_opened_by_root=False,
    environment_file_read_by_root=True,
    stops_removed_together=True,
    installs_unreached=False,
    has_sandbox=True,
    has_shared_files=False,
)
