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

import importlib
import os
import sys
import time
import types
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional

PACKAGE = "procman_agent"

STARTUP, LIVE, READY = "startup", "live", "ready"
QUESTIONS = (STARTUP, LIVE, READY)

SAMPLE_SECONDS = 1.0
"""How often to look at a process whose heartbeat is old."""

PARENT, START = 1, 19
"""Indexes in the fields of /proc/PID/stat that begin with the state (proc(5))."""

STARTED_APART_SECONDS = 2.0
"""How much later than the first heartbeat reports its process may seem to have started: the kernel counts in ticks."""


class Answer(NamedTuple):
    """The answer to a question, and the reason."""

    yes: bool
    reason: str


class Found(NamedTuple):
    """The heartbeat of the process that runs now, or why there is none."""

    heartbeat: Optional[Dict[str, Any]]
    problem: str = ""
    is_unreadable: bool = False
    """A heartbeat exists, and this probe does not understand it."""


class Agent:
    """The files beside this one as modules of a package, so that the project and they cannot hide each other.

    Each is imported when it is first needed: compiling one takes milliseconds.
    """

    def __init__(self) -> None:
        package = types.ModuleType(PACKAGE)
        package.__path__ = [os.path.dirname(os.path.realpath(__file__))]
        sys.modules[PACKAGE] = package
        sys.dont_write_bytecode = True

    def __getattr__(self, name: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{name}")


class Probe:
    """The probe of one program."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._agent = Agent()
        self._settings = self._agent.settings.read_settings(environment)

    def ask(self, question: str) -> Answer:
        """Answer one of `QUESTIONS`."""
        found = self._find()
        if found.heartbeat is None:
            # A phase that only a later agent knows is no reason to end the program.
            return Answer(question == LIVE or (question == STARTUP and found.is_unreadable), found.problem)
        if question == STARTUP:
            is_up = found.heartbeat["phase"] != self._agent.verdict.IMPORTING
            return Answer(is_up, f"its phase is {found.heartbeat['phase']}")
        return self._live(found.heartbeat) if question == LIVE else self._ready(found.heartbeat)

    def _find(self) -> Found:
        form = self._agent.heartbeat_format
        path = os.path.join(self._settings.run_directory, form.FILE)
        try:
            text = self._agent.run_files.read(path, form.MAX_BYTES + 1)
            heartbeat = None if text is None else form.read(text)
        except (OSError, ValueError) as error:
            return Found(None, f"its heartbeat cannot be read: {getattr(error, 'strerror', None) or error}", True)
        if heartbeat is None:
            return Found(None, "it has not written a heartbeat yet")
        if heartbeat["boot_id"] not in (None, self._settings.boot_id) or not self._is_running(heartbeat):
            return Found(None, "its heartbeat is that of an earlier process")
        return Found(heartbeat)

    def _is_running(self, heartbeat: Dict[str, Any]) -> bool:
        """Return whether the process that wrote `heartbeat` exists, and not a later one with its pid."""
        fields = self._agent.process_evidence.stat_fields(str(heartbeat["pid"]))
        if not fields:
            return False
        # The kernel counts from the boot, the monotonic clock without the time in which the host was suspended.
        asleep = time.clock_gettime(self._agent.process_evidence.BOOTTIME) - time.monotonic()
        started = int(fields[START]) / os.sysconf("SC_CLK_TCK") - asleep
        return bool(started <= heartbeat["started"] + STARTED_APART_SECONDS)

    # The answers -----------------------------------------------------------------------------------------------------

    def _live(self, heartbeat: Dict[str, Any]) -> Answer:
        evidence = self._agent.verdict.NO_EVIDENCE
        if self._is_old(heartbeat):
            evidence = self._evidence(heartbeat)
            heartbeat = self._find().heartbeat or heartbeat
        found = self._verdict(heartbeat, evidence)
        return Answer(not (found.level == self._agent.verdict.CRITICAL and found.remedy), _shown(found))

    def _ready(self, heartbeat: Dict[str, Any]) -> Answer:
        verdict, found = self._agent.verdict, self._verdict(heartbeat, self._agent.verdict.NO_EVIDENCE)
        works = heartbeat["phase"] in verdict.AT_WORK and heartbeat["ready"] is not False
        return Answer(works and found.level != verdict.CRITICAL and not self._is_old(heartbeat), _shown(found))

    def _is_old(self, heartbeat: Dict[str, Any]) -> bool:
        return bool(time.monotonic() - heartbeat["written"] > self._settings.stale_seconds)

    def _verdict(self, heartbeat: Dict[str, Any], evidence: Any) -> Any:
        thresholds = self._agent.verdict.thresholds_of(self._settings)
        return self._agent.verdict.verdict(heartbeat, time.monotonic(), thresholds, evidence)

    def _evidence(self, heartbeat: Dict[str, Any]) -> Any:
        """Watch the process until it acts, at most for as long as it would need to write two heartbeats."""
        look, pid = self._agent.process_evidence, heartbeat["pid"]
        descendants_of = descendants(look.stat_fields)
        begin = time.monotonic()
        first = last = look.sample(pid, descendants_of)
        while last is not None and first.main == last.main and not (last.is_stopped or last.excuse):
            if time.monotonic() - begin > 2 * heartbeat["interval"]:
                break
            time.sleep(min(SAMPLE_SECONDS, heartbeat["interval"]))
            last = look.sample(pid, descendants_of)
        if last is None:
            return self._agent.verdict.NO_EVIDENCE
        acted = first.main != last.main
        return self._agent.verdict.Evidence(
            idle_seconds=0.0 if acted else time.monotonic() - begin,
            acted=acted,
            is_stopped=last.is_stopped,
            works=first.children != last.children,
            excuse=last.excuse,
            waits=last.waits,
        )


def descendants(stat_fields: Callable[[str], List[str]]) -> Callable[[int], Iterable[int]]:
    """Return a function that finds the processes below another, by reading all that this container shows."""

    def descendants_of(pid: int) -> Iterable[int]:
        children = {}  # type: Dict[int, List[int]]
        for name in filter(str.isdigit, os.listdir("/proc")):
            fields = stat_fields(name)
            if fields:
                children.setdefault(int(fields[PARENT]), []).append(int(name))
        waiting, found = list(children.get(pid, ())), []  # type: List[int], List[int]
        while waiting:
            found.append(waiting.pop())
            waiting += children.get(found[-1], ())
        return found

    return descendants_of


def _shown(verdict: Any) -> str:
    return f"{verdict.level} {verdict.code}: {verdict.reason}"


def main(words: List[str]) -> int:
    """Answer the question in `words` and return the exit status."""
    if len(words) != 1 or words[0] not in QUESTIONS:
        print(f"usage: python3 {os.path.basename(__file__)} {'|'.join(QUESTIONS)}", file=sys.stderr)
        return 2
    answer = Probe(os.environ).ask(words[0])
    print(f"{words[0]}: {'yes' if answer.yes else 'no'}: {answer.reason}")
    return 0 if answer.yes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
