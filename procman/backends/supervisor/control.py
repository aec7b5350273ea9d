"""Starts, stops and asks the programs of one project through their supervisord."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from procman.backends.base import Progress
from procman.backends.supervisor import loading
from procman.backends.supervisor.loading import Reread, load, load_again, order_start, reread
from procman.backends.supervisor.logs import read_log
from procman.backends.supervisor.main_file import MainFile, NoConfiguration, embedded_main_file, read_main_file
from procman.backends.supervisor.states import program_state, restarts_in, wanted
from procman.backends.supervisor.stopping import drain, stop_warm, unload
from procman.backends.supervisor.transport import BAD_NAME, PATIENCE_SECONDS, Client, Fault, Info, NotRunning
from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.model import (
    Action,
    Activation,
    InstalledProgram,
    ProgramState,
    Scope,
    State,
    SupervisorMode,
    SupervisorSettings,
)

LOG_TAIL_BYTES = 64 * 1024
"""How much of supervisord's own log is asked for to count restarts."""

ANSWER_SECONDS = 5.0
"""How long a question about states waits for supervisord (R10)."""

TERSE_LEVELS = ("warn", "error", "critical")
"""At these levels supervisord does not log what it starts."""

DEFAULT_FILES = (Path("/etc/supervisord.conf"), Path("/etc/supervisor/supervisord.conf"))
"""Where supervisorctl looks by itself, in this order."""

SERVICES = {DEFAULT_FILES[0]: "supervisord", DEFAULT_FILES[1]: "supervisor"}
"""The systemd services of Red Hat's and Debian's packages."""


def controller(project: str, scope: Scope, supervisor: SupervisorSettings) -> SupervisorController:
    """Return what speaks to the supervisord of an installed PROJECT."""
    if supervisor.mode is SupervisorMode.EXISTING:
        return SupervisorController(supervisor.configuration, embedded=False)
    state = directories_for(project, scope, os.environ).shared_state
    known = embedded_main_file(supervisor.configuration, state)
    return SupervisorController(supervisor.configuration, embedded=True, known=known)


class SupervisorController:
    """Speaks to the supervisord that CONFIGURATION belongs to.

    `states` ends within TIMEOUT seconds; of everything else every single call does within PATIENCE seconds. KNOWN is
    what to go by when that file is gone, as it is for a while during `uninstall`.
    """

    def __init__(
        self,
        configuration: Path,
        *,
        embedded: bool,
        known: MainFile | None = None,
        timeout: float = ANSWER_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._configuration = configuration
        self._known = known
        self._embedded = embedded
        self._timeout = timeout
        self._patience = patience
        self._fresh: set[str] = set()
        """Programs that came up with a supervisord started here: they already run what an activation would load."""

    @cached_property
    def client(self) -> Client:
        """The way to supervisord; a ProcmanError says what is wrong with its configuration file."""
        try:
            main = read_main_file(self._configuration)
        except NoConfiguration:
            if self._known is None:
                raise
            main = self._known
        return Client(main, self._start_hint(), self._patience)

    def states(self, programs: Sequence[InstalledProgram]) -> list[ProgramState]:
        """Return one state per program, in order; UNKNOWN with the reason where it cannot be told (R10)."""
        deadline = time.monotonic() + self._timeout
        try:
            infos: list[Info] = self.client.call("getAllProcessInfo", timeout=self._timeout)
        except ProcmanError as error:
            reason = f"{error.message}. {error.hint}" if error.hint else error.message
            return [ProgramState(each.name, each.autostart, State.UNKNOWN, detail=reason) for each in programs]
        restarts = self._restarts(deadline - time.monotonic())
        return [program_state(program, infos, restarts) for program in programs]

    def wanted(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        """Return by name whether each is to run, to be recorded before procman itself stops anything (R11).

        Unlike `states` it raises ProcmanError where a supervisord runs that cannot be asked: a guess must not be kept.
        """
        try:
            infos: list[Info] = self.client.call("getAllProcessInfo")
        except NotRunning:
            return {program.name: program.autostart for program in programs}
        return {program.name: program_state(program, infos, None).wanted for program in programs}

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start what does not run, in order, from its section as the files have it now.

        An embedded supervisord is started if need be. Returns once each was started, not once it is healthy.
        """
        self._start_supervisord()
        differences = self._reread_if_possible(progress)
        for program in programs:
            loading.start(self.client, program, differences, progress)

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop warm, ordered in the order given, side by side; return when all have ended."""
        try:
            stop_warm(self.client, {each.name: each.stop_timeout_seconds for each in programs}, progress)
        except NotRunning as error:
            progress(f"{error.message}; there is nothing to stop")

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        """Stop PROGRAM warm and start it again from its section as the files have it now."""
        self._start_supervisord()
        try:
            self.stop([program], progress)
            self.start([program], progress)
        except BaseException:
            progress(f"{program.name} may stay stopped: `procman start {program.name}` starts it")
            raise

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out ACTIVATION and return what was done, in a few words. Carrying it out twice does no harm (R2)."""
        program = activation.program
        if activation.action is Action.REMOVE:
            return self._remove(program, progress)
        self._start_supervisord()
        if program.name in self._fresh:
            self._fresh.discard(program.name)
            return "came up with supervisord"
        differences = reread(self.client)
        info = self.client.infos([program.name])[program.name]
        asked_for = activation.wanted
        if asked_for is None and info:
            asked_for = wanted(info, autostart=program.autostart)
        if asked_for is False and program.autostart:
            # supervisord starts an autostart program as soon as it is loaded, if only for a moment (R11).
            return f"left stopped; `procman start {program.name}` starts it as it is configured now"
        if info is None:
            return self._add(program, progress, start=bool(asked_for))
        if program.name in differences.removed:
            raise ProcmanError(
                f"{program.name}: supervisord does not read its section any more",
                hint=f"See [include] in {self._configuration}, and run `procman install`.",
            )
        if activation.action is Action.ADD and program.name not in differences.changed:
            if asked_for and not info["start"]:
                order_start(self.client, program)
            return "was loaded already"
        return self._replace(activation, differences, progress, start=bool(asked_for))

    def close_down(self, progress: Progress) -> Path | None:
        """End the supervisord itself, all of its programs warm, if it is procman's own; return its log."""
        if not self._embedded:
            return None
        from procman.backends.supervisor.embedded import stop_supervisord

        stop_supervisord(self.client, progress)
        return Path(self.client.main.log_file)

    def command_line(self, program: InstalledProgram) -> str:
        """Return supervisorctl's command that restarts PROGRAM, for a person to paste."""
        if not self._embedded and self._configuration == next((file for file in DEFAULT_FILES if file.exists()), None):
            return f"supervisorctl restart {program.name}"
        return f"{self.supervisorctl()} restart {program.name}"

    def supervisorctl(self) -> str:
        """Return the words that call supervisorctl for this supervisord."""
        beside = Path(sys.executable).with_name("supervisorctl")
        words = ["supervisorctl"]
        if self._embedded:
            words = [str(beside)] if beside.exists() else [sys.executable, "-m", "supervisor.supervisorctl"]
        return shlex.join([*words, "-c", str(self._configuration)])

    def logs(self, program: InstalledProgram, lines: int, *, follow: bool) -> Iterator[str]:
        """Yield the last LINES of the log of PROGRAM and, to FOLLOW it, what comes after, without end."""
        if program.log_file is None:
            raise ProcmanError(f"{program.name} keeps no log file")
        return read_log(Path(program.log_file), lines, follow=follow)

    def drain(self, names: Sequence[str], seconds: float, progress: Progress) -> list[str]:
        """Stop programs of other people's sections so that running tasks finish; say what was done.

        NAMES may be `group:name`; a group is unloaded with its last program.
        """
        drain(self.client, names, seconds, progress)
        return unload(self.client, names)

    def _add(self, program: InstalledProgram, progress: Progress, *, start: bool) -> str:
        done = load(self.client, program, progress)
        if start or program.autostart:
            order_start(self.client, program)
        return "; ".join([*done, "added and started" if start or program.autostart else "added, not started"])

    def _replace(self, activation: Activation, differences: Reread, progress: Progress, *, start: bool) -> str:
        program, name = activation.program, activation.program.name
        if start or name in differences.changed:
            self._stop_for(activation, progress, changed=name in differences.changed)
        if name in differences.changed:
            load_again(self.client, name)
        if start:
            order_start(self.client, program)
        return "restarted" if start else "left stopped"

    def _stop_for(self, activation: Activation, progress: Progress, *, changed: bool) -> None:
        program = activation.program
        loaded = activation.old_stop_timeout_seconds
        # No generation before had it: the section that is loaded may be somebody else's.
        somebody_elses = changed and (loaded is None or activation.action is Action.ADD)
        if somebody_elses or (loaded is not None and loaded < program.stop_timeout_seconds):
            drain(self.client, [program.name], program.stop_timeout_seconds, progress)
        else:
            stop_warm(self.client, {program.name: max(loaded or 0, program.stop_timeout_seconds)}, progress)

    def _remove(self, program: InstalledProgram, progress: Progress) -> str:
        try:
            stop_warm(self.client, {program.name: program.stop_timeout_seconds}, progress)
            self.client.call("removeProcessGroup", program.name)
        except (NotRunning, NoConfiguration):
            return "nothing to unload: supervisord is not running"
        except Fault as fault:
            if fault.code != BAD_NAME:
                raise
            return "was unloaded already"
        return "stopped and unloaded"

    def _start_supervisord(self) -> None:
        if not self._embedded:
            return
        from procman.backends.supervisor.embedded import start_supervisord

        if start_supervisord(self._configuration, self._patience):
            self._fresh = {info["name"] for info in self.client.call("getAllProcessInfo")}

    def _reread_if_possible(self, progress: Progress) -> Reread:
        """A file of somebody else that cannot be read is no reason not to start what is loaded."""
        try:
            return reread(self.client)
        except NotRunning:
            raise
        except ProcmanError as error:
            progress(f"{error.message}; starting what supervisord has loaded")
            return Reread()

    def _restarts(self, seconds: float) -> dict[str, int] | None:
        main = self.client.main
        # A pipe or terminal in the place of the log would make supervisord wait for it.
        no_file = main.log_file == "syslog" or main.log_file.startswith("/dev/")
        if no_file or main.log_level in TERSE_LEVELS or seconds <= 0:
            return None
        try:
            return restarts_in(self.client.call("readLog", -LOG_TAIL_BYTES, 0, timeout=seconds))
        except ProcmanError:
            return None

    def _start_hint(self) -> str:
        if self._embedded:
            return "`procman start` starts it."
        service = SERVICES.get(self._configuration)
        return f"systemctl start {service}" if service else f"supervisord -c {self._configuration}"
