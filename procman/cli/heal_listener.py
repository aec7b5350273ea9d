"""`procman heal --listen` without Click, which would be a sixth of the memory of what lives for months."""

from __future__ import annotations

import sys
from pathlib import Path

from procman.install.state.event_log import Event
from procman.monitoring.watch_loop import keep_healing
from procman.output.events import as_line
from procman.output.terminal import printable


def listen(state: str | Path) -> None:
    """Look after the project that has its state in STATE until supervisord is gone; its words go to stderr."""
    keep_healing(Path(state), _say_event, warn)


def _say_event(event: Event) -> None:
    # Standard output is supervisord's.
    print(as_line(event), file=sys.stderr, flush=True)  # noqa: T201


def warn(text: str) -> None:
    """Say what went wrong."""
    print(f"procman: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201
