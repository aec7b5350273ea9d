"""Run the `on_event` command for each event, without waiting for it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from procman.accounts import account, login_environment
from procman.config.trust import trust_problems
from procman.errors import ProcmanError
from procman.install.state.event_log import Event, line_of
from procman.install.state.manifest import Manifest
from procman.subprocesses import CLEAN_ENVIRONMENT, Begun, begin

TIMEOUT_SECONDS = 60.0
MOST_AT_ONCE = 10


class EventHook:
    """Runs the command of `on_event` in [health]; a failure is passed to `warn` and has no other effect."""

    def __init__(self, warn: Callable[[str], None], timeout: float = TIMEOUT_SECONDS) -> None:
        self._warn = warn
        self._timeout = timeout
        self._begun: list[Begun] = []

    def call(self, manifest: Manifest, event: Event) -> None:
        """Start the command with `event` on its standard input, and do not wait for it."""
        argv = manifest.health.on_event
        if not argv:
            return
        self.reap()
        if len(self._begun) >= MOST_AT_ONCE:
            running = f"{len(self._begun)} commands are still running"
            self._warn(f"on_event: {running}; not called for {event.what} {event.program}")
            return
        try:
            user = user_for(argv, manifest.user)
            line = line_of(event) + "\n"
            self._begun.append(
                begin(argv, environment=_environment(user), user=user, stdin=line, timeout=self._timeout)
            )
        except ProcmanError as error:
            self._warn(f"on_event: {error.message}")

    def reap(self) -> bool:
        """Forget commands that have ended and end those over their time limit; return whether any is left."""
        left = []
        for each in self._begun:
            status = each.status()
            if status is None:
                left.append(each)
            elif status:
                self._warn(f"on_event: {each.words} exited with status {status}")
        self._begun = left
        return bool(left)

    def wait(self) -> None:
        """Wait until all commands have ended; each has its time limit."""
        while self.reap():
            time.sleep(0.05)


def user_for(argv: Sequence[str], user: str | None) -> str | None:
    """Return the user who runs `argv`; None for the caller.

    Root runs it only if no other user can change the command or a file among its arguments. Otherwise `user` runs it,
    the user of the programs.
    """
    if os.geteuid() != 0 or user is None:
        return None
    command = shutil.which(argv[0], path=CLEAN_ENVIRONMENT["PATH"])
    if command is None:
        raise ProcmanError(f"cannot find the command {argv[0]}", hint="Write an absolute path in on_event.")
    files = [Path(command), *(Path(word) for word in argv[1:] if word.startswith("/") and os.path.lexists(word))]
    return user if any(trust_problems(file, {0}) for file in files) else None


def _environment(user: str | None) -> dict[str, str]:
    found = account(user)
    if found is None:
        raise ProcmanError(f"user {user} does not exist")
    return CLEAN_ENVIRONMENT | login_environment(found)
