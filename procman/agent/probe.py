"""Answer the startup, liveness and readiness probes of an engine that runs one program in a container.

    python3 -IS probe.py startup|live|ready

It reads the heartbeat of the program in PROCMAN_RUN_DIRECTORY and, if that is old, what the kernel shows of its
process. It needs nothing outside the standard library (-IS only saves time): no app, no broker, no procman. It runs in
the program's own container, with its environment, as its user. Exit status 0 is yes, 1 is no, 2 is wrong usage; one
line gives the reason.

- startup: the app has been imported. Whether the broker answers does not matter.
- live: false only if a restart would help, by the same rules as healing. Without evidence it is true.
- ready: the program works: a worker consumes, a beat ticks or is on standby.
"""

import os
import sys
import time

TYPE_CHECKING = False  # mypy takes it for true
if TYPE_CHECKING:
    # An import of its own would take longer than the rest of this file.
    from typing import Any, Dict, List, Mapping, Optional, Tuple

    Answer = Tuple[bool, str]
    """The answer to a question, and the reason."""

    Heartbeat = Dict[str, Any]

PACKAGE = "procman_agent"

STARTUP, LIVE, READY = "startup", "live", "ready"
QUESTIONS = (STARTUP, LIVE, READY)

STARTED_APART_SECONDS = 2.0
"""How much later than the first heartbeat reports its process may seem to have started: the kernel counts in ticks."""


class NoHeartbeat(Exception):
    """The process that runs now has no heartbeat, or none that this probe understands; the text gives the reason."""

    def __init__(self, reason: str, is_unreadable: bool = False) -> None:
        super().__init__(reason)
        self.is_unreadable = is_unreadable


class Agent:
    """The files beside this one as modules of a package, so that the project and they cannot hide each other.

    Each is imported when it is first needed: compiling one takes milliseconds.
    """

    def __init__(self) -> None:
        package = type(sys)(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
        sys.modules[PACKAGE] = package
        sys.dont_write_bytecode = True

    def __getattr__(self, name: str) -> "Any":
        __import__(f"{PACKAGE}.{name}")
        return sys.modules[f"{PACKAGE}.{name}"]


class Probe:
    """The probe of one program."""

    def __init__(self, environment: "Mapping[str, str]") -> None:
        self._agent = Agent()
        self._settings = self._agent.settings.read_settings(environment)

    def ask(self, question: str) -> "Answer":
        """Answer one of `QUESTIONS`."""
        try:
            heartbeat = self._heartbeat()
        except NoHeartbeat as error:
            # A phase that only a later agent knows is no reason to end the program.
            return question == LIVE or (question == STARTUP and error.is_unreadable), str(error)
        if question == STARTUP:
            return heartbeat["phase"] != self._agent.verdict.IMPORTING, f"its phase is {heartbeat['phase']}"
        return self._live(heartbeat) if question == LIVE else self._ready(heartbeat)

    def _heartbeat(self) -> "Heartbeat":
        form = self._agent.heartbeat_format
        path = os.path.join(self._settings.run_directory, form.FILE)
        try:
            text = self._agent.run_files.read(path, form.MAX_BYTES + 1)
            heartbeat: "Optional[Heartbeat]" = None if text is None else form.read(text)
        except (OSError, ValueError) as error:
            reason = f"its heartbeat cannot be read: {getattr(error, 'strerror', None) or error}"
            raise NoHeartbeat(reason, is_unreadable=True) from None
        if heartbeat is None:
            raise NoHeartbeat("it has not written a heartbeat yet")
        if heartbeat["boot_id"] not in (None, self._settings.boot_id) or not self._is_running(heartbeat):
            raise NoHeartbeat("its heartbeat is that of an earlier process")
        # What the environment says, which the program has too: with that of the file, a watch could take for ever.
        heartbeat["interval"] = self._settings.heartbeat_seconds
        return heartbeat

    def _is_running(self, heartbeat: "Heartbeat") -> bool:
        """Return whether the process that wrote `heartbeat` exists, and not a later one with its pid."""
        stat = self._agent.process_stat
        ticks = stat.start_ticks(str(heartbeat["pid"]))
        if not ticks:
            return False
        # The kernel counts from the boot, the monotonic clock without the time in which the host was suspended.
        started = ticks / os.sysconf("SC_CLK_TCK") - stat.asleep_seconds()
        return bool(started <= heartbeat["started"] + STARTED_APART_SECONDS)

    # The answers -----------------------------------------------------------------------------------------------------

    def _live(self, heartbeat: "Heartbeat") -> "Answer":
        evidence = self._agent.verdict.NO_EVIDENCE
        if self._age(heartbeat) > self._settings.stale_seconds:
            evidence = self._agent.process_watch.watch(heartbeat["pid"], heartbeat["interval"])
            heartbeat = self._latest(heartbeat)
        found = self._verdict(heartbeat, evidence)
        return not (found.level == self._agent.verdict.CRITICAL and found.remedy), _shown(found)

    def _latest(self, heartbeat: "Heartbeat") -> "Heartbeat":
        try:
            return self._heartbeat()
        except NoHeartbeat:
            return heartbeat

    def _ready(self, heartbeat: "Heartbeat") -> "Answer":
        verdict, found = self._agent.verdict, self._verdict(heartbeat, self._agent.verdict.NO_EVIDENCE)
        works = heartbeat["phase"] in verdict.AT_WORK and heartbeat["ready"] is not False
        age = self._age(heartbeat)
        if age > self._settings.stale_seconds:
            # Only live takes the time to find out why.
            return False, f"its heartbeat is {age:.0f}s old"
        # One from the future was not written by this clock.
        is_fresh = age >= -self._settings.stale_seconds
        return works and found.level != verdict.CRITICAL and is_fresh, _shown(found)

    def _age(self, heartbeat: "Heartbeat") -> float:
        return float(time.monotonic() - heartbeat["written"])

    def _verdict(self, heartbeat: "Heartbeat", evidence: "Any") -> "Any":
        thresholds = self._agent.verdict.thresholds_of(self._settings)
        return self._agent.verdict.verdict(heartbeat, time.monotonic(), thresholds, evidence)


def _shown(verdict: "Any") -> str:
    # A program that is OK may not be ready yet, and "no: OK" would be a riddle.
    return f"{verdict.level} {verdict.code}: {verdict.reason}" if verdict.level != "OK" else str(verdict.reason)


def main(words: "List[str]") -> int:
    """Answer the question in `words` and return the exit status."""
    if len(words) != 1 or words[0] not in QUESTIONS:
        print(f"usage: python3 {os.path.basename(__file__)} {'|'.join(QUESTIONS)}", file=sys.stderr)
        return 2
    if not os.environ.get("PROCMAN_RUN_DIRECTORY"):
        print("PROCMAN_RUN_DIRECTORY is not set: run the probe with the variables of the program", file=sys.stderr)
        return 2
    yes, reason = answer(words[0])
    try:
        # Not print: Python 3.6 cannot encode the name of a task or entry in the C locale.
        os.write(1, f"{words[0]}: {'yes' if yes else 'no'}: {reason}\n".encode("utf-8", "backslashreplace"))
    except OSError:
        pass
    return 0 if yes else 1


def answer(question: str) -> "Answer":
    """Answer `question`; an error of the probe itself is no evidence, and ends no program."""
    try:
        return Probe(os.environ).ask(question)
    except Exception as error:
        return question != READY, f"the probe failed: {error!r}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
