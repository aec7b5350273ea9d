"""supervisord, the host's or procman's own: files, verification, control."""

from __future__ import annotations

from procman.backends.base import Backend, Watcher

BACKEND = Backend(
    name="supervisor",
    watcher=Watcher.EVENT_LISTENER,
    identity=("mode", "configuration", "include"),
    logs_opened_by_root=True,
    environment_file_read_by_root=False,
    stops_removed_together=False,
    installs_unreached=True,
    has_sandbox=False,
    has_shared_files=True,
)
