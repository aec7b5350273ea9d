"""Run `procman heal --listen` without Click, which takes a sixth of the memory of a process that lives for months."""

from __future__ import annotations

import sys
from pathlib import Path

from procman.install.state.event_log import Event
from procman.monitoring.watch_loop import keep_healing
from procman.output.events import as_line
from procman.output.terminal import printable


def listen(state: str | Path) -> None:
    """Watch the project with its state in the directory `state` until supervisord ends; log to stderr."""
    keep_healing(Path(state), _print_event, warn)


def _print_event(event: Event) -> None:
    # Standard output is supervisord's.
    print(as_line(event), file=sys.stderr, flush=True)  # noqa: T201


def warn(text: str) -> None:
    """Print a warning to stderr."""
    print(f"procman: {printable(text)}", file=sys.stderr, flush=True)  # noqa: T201
