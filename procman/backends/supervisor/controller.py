"""Speaks to the supervisord of one project: asks it itself, and has orders carried out by orders.py."""

from __future__ import annotations

import os
import shlex
import stat
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from procman.backends.supervisor.client import PATIENCE_SECONDS, Client, Info, NotRunning
from procman.backends.supervisor.configuration.main_file import (
    MainFile,
    NoConfiguration,
    embedded_main_file,
    read_main_file,
)
from procman.backends.supervisor.states import program_states, restarts_in
from procman.config.directories import directories_for
from procman.errors import ProcmanError
from procman.model import Activation, InstalledProgram, ProgramState, Scope, State, SupervisorMode, SupervisorSettings

if TYPE_CHECKING:
    from procman.backends.base import Progress
    from procman.backends.supervisor.orders import Orders

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
    places = directories_for(project, scope, os.environ)
    if supervisor.mode is SupervisorMode.EXISTING:
        return SupervisorController(supervisor.configuration, embedded=False, unit=(scope, places.units))
    known = embedded_main_file(supervisor.configuration, places.shared_state)
    return SupervisorController(
        supervisor.configuration, embedded=True, known=known, command=supervisor.supervisord, unit=(scope, places.units)
    )


class SupervisorController:
    """Speaks to the supervisord that CONFIGURATION belongs to.

    `states` ends within TIMEOUT seconds; of everything else every single call does within PATIENCE seconds. KNOWN is
    what to go by when that file is gone, as it is for a while during `uninstall`. COMMAND starts an embedded one that
    has no systemd unit; UNIT is the scope and the directory in which one is looked for.
    """

    def __init__(
        self,
        configuration: Path,
        *,
        embedded: bool,
        known: MainFile | None = None,
        command: Path | None = None,
        unit: tuple[Scope, Path] | None = None,
        timeout: float = ANSWER_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._configuration = configuration
        self._known = known
        self._embedded = embedded
        self._command = command
        self._unit = unit
        self._timeout = timeout
        self._patience = patience

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
        return program_states(programs, infos, restarts)

    def desired(self, programs: Sequence[InstalledProgram]) -> dict[str, bool]:
        """Return by name whether each is to run, to be recorded before procman itself stops anything (R11).

        Unlike `states` it raises ProcmanError where a supervisord runs that cannot be asked: a guess must not be kept.
        """
        try:
            infos: list[Info] = self.client.call("getAllProcessInfo")
        except NotRunning:
            return {program.name: program.autostart for program in programs}
        return {each.name: each.desired for each in program_states(programs, infos, None)}

    def start(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Start what does not run, in order; return once each was started, not once it is healthy."""
        self._orders.start(programs, progress)

    def stop(self, programs: Sequence[InstalledProgram], progress: Progress) -> None:
        """Stop warm, ordered in the order given, side by side; return when all have ended."""
        self._orders.stop(programs, progress)

    def restart(self, program: InstalledProgram, progress: Progress) -> None:
        """Stop PROGRAM warm and start it again from its section as the files have it now."""
        self._orders.restart(program, progress)

    def activate(self, activation: Activation, progress: Progress) -> str:
        """Carry out ACTIVATION and return what was done, in a few words. Carrying it out twice does no harm (R2)."""
        return self._orders.activate(activation, progress)

    def unload(self, sections: Sequence[Path], progress: Progress) -> None:
        """Do nothing: every section that procman writes is a program's."""

    def reload(self, sections: Sequence[Path], progress: Progress) -> None:  # noqa: ARG002 - others take long
        """Have the host's systemd read what SECTIONS say of supervisord's own unit; what runs goes on as it is."""
        self._orders.reload(sections)

    def shutdown(self, progress: Progress) -> Path | None:
        """End the supervisord itself, all of its programs warm, if it is procman's own; return its log."""
        return self._orders.shutdown(progress)

    def drain(self, names: Sequence[str], seconds: float, progress: Progress) -> list[str]:
        """Stop programs of other people's sections, `group:name`, so that running tasks finish; say what was done."""
        return self._orders.drain(names, seconds, progress)

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
        from procman.host.log_file import read_log

        return read_log(Path(program.log_file), lines, follow=follow)

    @cached_property
    def _orders(self) -> Orders:
        # Imported only now: `status` gives no orders and has no time to wait for them.
        from procman.backends.supervisor.orders import Orders
        from procman.backends.supervisor.systemd_unit import Service

        return Orders(
            self._configuration,
            lambda: self.client,
            embedded=self._embedded,
            command=self._command,
            service=Service(*self._unit) if self._unit else None,
        )

    def _restarts(self, seconds: float) -> dict[str, int] | None:
        main = self.client.main
        # A pipe or terminal in the place of the log would make supervisord wait for it.
        no_file = main.log_file == "syslog" or main.log_file.startswith("/dev/")
        if no_file or main.log_level in TERSE_LEVELS or seconds <= 0:
            return None
        log = _end_of(main.log_file)
        try:
            # supervisord takes longer to answer than the file to read, and answers nobody else meanwhile.
            return restarts_in(log or self.client.call("readLog", -LOG_TAIL_BYTES, 0, timeout=seconds))
        except ProcmanError:
            return None

    def _start_hint(self) -> str:
        if self._embedded:
            return "`procman start` starts it."
        service = SERVICES.get(self._configuration)
        return f"systemctl start {service}" if service else f"supervisord -c {self._configuration}"


def _end_of(log: str) -> str:
    """Return the end of supervisord's LOG; nothing where that cannot be read from here."""
    if not Path(log).is_absolute():
        return ""  # it is relative to wherever supervisord was started
    try:
        descriptor = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return ""
        return os.pread(descriptor, LOG_TAIL_BYTES, max(0, found.st_size - LOG_TAIL_BYTES)).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)
