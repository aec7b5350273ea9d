"""What the page shows about each program: its state, its health with reason and remedy, and what it does."""

import time
from typing import Any, List, Mapping, NamedTuple, Optional

from . import decisions, event_log, files, processes, values, watcher
from .heartbeats import Heartbeat, read_heartbeat
from .installed import Program, Project
from .remedies import remedy

MOST_EVENTS = 50

OK, WARNING, CRITICAL, UNKNOWN = "OK", "WARNING", "CRITICAL", "UNKNOWN"
SEVERITY = (OK, UNKNOWN, WARNING, CRITICAL)

STOPPING_SECONDS = 30
"""How long after an order to stop it the watcher may end a check."""

STATES = {"importing": "STARTING", "starting": "STARTING", "stopping": "STOPPING"}
"""The state of a program whose process lives, by the phase of its heartbeat; else it is RUNNING."""


class Health(NamedTuple):
    """A level with its reason and remedy."""

    level: str
    code: str = ""
    reason: str = ""
    remedy: str = ""


class Task(NamedTuple):
    """A running task."""

    id: Optional[str]
    name: str
    seconds: Optional[float]


class Entry(NamedTuple):
    """An entry of beat's schedule, and when it is due."""

    name: str
    at: Optional[float]


class QueueLength(NamedTuple):
    """A queue of a worker, as its heartbeat has it."""

    name: str
    messages: Optional[int]
    consumers: Optional[int]


class ProgramView(NamedTuple):
    """A program; what is unknown is None."""

    name: str
    kind: str
    state: str
    health: Health
    node_name: Optional[str]
    pool: Optional[str]
    since: Optional[float]
    """When its process was started, in seconds since the epoch."""
    queued: Optional[int]
    busy: Optional[int]
    slots: Optional[int]
    tasks: List[Task]
    memory: Optional[int]
    restarts: Optional[int]
    draining: bool
    held: Optional[bool]
    scheduled: Optional[int]
    entries: List[Entry]
    queues: List[QueueLength]


class ProjectView(NamedTuple):
    """A project with its programs, and its latest events, newest first."""

    project: Project
    programs: List[ProgramView]
    events: List[Any]
    problems: List[str]


def view_of(project):
    """Return what procman's files show about `project` now."""
    now, wall, boot = time.monotonic(), time.time(), processes.boot_id()
    events, problems = event_log.read_events(project)
    programs = []
    for program in project.programs:
        heartbeat = read_heartbeat(project, program, now, wall, boot)
        programs.append(_view(project, program, heartbeat, events, _decided(project, program, wall, boot, problems)))
    latest = sorted(events, key=lambda event: event.at, reverse=True)[:MOST_EVENTS]
    problems = [project.problem, *problems] if project.problem else problems
    return ProjectView(project, programs, latest, list(dict.fromkeys(problems)))


class Decided(NamedTuple):
    """What an administrator decided; None: nothing, or for `held` unknown."""

    order: Optional[Mapping[str, Any]]
    held: Optional[bool]
    problem: str
    """Why the order is unknown."""


def _decided(project, program, wall, boot, problems):
    order, held, problem = None, None, ""
    try:
        order = decisions.read_order(project, program, boot)
    except files.Unreadable as error:
        problem = str(error)
        problems.append(problem)
    try:
        held = decisions.is_held(project, program, wall)
    except files.Unreadable as error:
        problems.append(str(error))
    return Decided(order, held, problem)


def _view(project: Project, program: Program, heartbeat: Heartbeat, events, decided):
    wall = time.time()
    fields = heartbeat.fields or {}
    is_current = _is_current(heartbeat, project)
    state, health = _judged(project, program, heartbeat, decided)
    finding = event_log.open_finding(events, program.name)
    if finding is not None and state not in ("STOPPED", "STOPPING"):
        health = _worse(health, _of_finding(program.name, finding))
    seconds = heartbeat.monotonic("started")
    pid = values.count(fields, "pid")
    queues = _queues(fields)
    waiting = [queue.messages for queue in queues if queue.messages is not None]
    return ProgramView(
        name=program.name,
        kind=program.kind,
        state=state,
        health=health,
        node_name=values.text(fields, "node_name"),
        pool=values.text(fields, "pool"),
        since=wall - seconds if is_current and seconds is not None else None,
        queued=sum(waiting) if is_current and waiting else None,
        busy=values.count(fields, "busy") if is_current else None,
        slots=values.count(fields, "slots") if is_current else None,
        tasks=_tasks(heartbeat) if is_current else [],
        memory=processes.memory_of(pid) if is_current and pid and heartbeat.lives else None,
        restarts=_restarts(project, program, events),
        draining=is_current and fields.get("phase") == "draining",
        held=decided.held,
        scheduled=values.count(fields, "scheduled") if is_current else None,
        entries=_entries(heartbeat, wall) if is_current else [],
        queues=queues,
    )


def _restarts(project, program, events):
    # Only the watcher writes an event about the end of another program.
    if not any(each.kind == watcher.KIND for each in project.programs):
        return None
    return event_log.restarts_of(events, program.name, processes.booted_at() or 0)


def _is_current(heartbeat, project):
    """Return whether the heartbeat shows what the program does now."""
    if heartbeat.age is None or heartbeat.lives is False:
        return False
    return heartbeat.lives is True or heartbeat.age <= project.stale_seconds


def _judged(project, program, heartbeat, decided):
    """Return the state of a program and its health."""
    if program.kind == watcher.KIND:
        return _of_watcher(project, program, decided)
    if not program.has_heartbeat:
        return UNKNOWN, Health(UNKNOWN, reason="it writes no heartbeat", remedy="procman status %s" % program.name)
    if _is_current(heartbeat, project):
        phase = values.text(heartbeat.fields, "phase") or ""
        return STATES.get(phase, "RUNNING"), _of_heartbeat(program.name, heartbeat, project)
    if _is_stopped(decided):
        return _stopped(decided)
    if decided.problem:
        reason = "it does not run, and whether it was stopped on purpose is unknown: %s" % decided.problem
        return UNKNOWN, Health(UNKNOWN, reason=reason, remedy="procman status %s" % program.name)
    if heartbeat.problem:
        return UNKNOWN, Health(UNKNOWN, "PM205", heartbeat.problem, "procman health %s" % program.name)
    if program.autostart is False and heartbeat.lives is not False:
        return "STOPPED", Health(OK, reason="it does not start by itself")
    return _absent(project, program, heartbeat)


def _is_stopped(decided):
    return decided.order is not None and values.flag(decided.order, "desired") is False


def _stopped(decided):
    return "STOPPED", Health(
        OK, reason="it was stopped by %s" % (values.text(decided.order, "by") or "an administrator")
    )


def _of_watcher(project, program, decided):
    """Return the state of the watcher, by its last check: under systemd it has no process between two of them."""
    check, hint = watcher.last_check(project), "procman status %s; procman logs %s" % (program.name, program.name)
    if _is_stopped(decided) and (check.at or 0) <= (values.number(decided.order, "at") or 0) + STOPPING_SECONDS:
        return _stopped(decided)
    if check.at is None:
        return UNKNOWN, Health(UNKNOWN, reason=check.problem, remedy=hint)
    seconds = time.time() - check.at
    if not watcher.is_late(project, seconds):
        return "RUNNING", Health(OK, reason="it checked the programs %s ago" % duration(seconds))
    due = "it checked the programs last %s ago, but a check is due every %s" % (
        duration(seconds),
        duration(project.interval_seconds),
    )
    return UNKNOWN, Health(CRITICAL, "PM101", "%s: no program is healed from outside" % due, hint)


def _absent(project, program, heartbeat):
    hint = "procman status %s; procman logs %s" % (program.name, program.name)
    if heartbeat.fields is None:
        return UNKNOWN, Health(UNKNOWN, "PM205", "it has written no heartbeat yet", hint)
    if heartbeat.age is None:
        return "EXITED", Health(CRITICAL, "PM101", "it has not run since the host was booted", hint)
    ago = duration(heartbeat.age)
    if heartbeat.lives is None:
        return UNKNOWN, Health(CRITICAL, "PM201", "its last heartbeat was %s ago" % ago, hint)
    level = WARNING if heartbeat.age <= project.stale_seconds else CRITICAL
    reason = "its process is gone; its last heartbeat was %s ago" % ago
    return "EXITED", Health(level, "PM101", reason, hint)


def _of_heartbeat(name, heartbeat, project):
    """Return the program's own verdict, unless it is too old to count."""
    fields = heartbeat.fields
    if heartbeat.age > project.stale_seconds:
        interval = values.number(fields, "interval")
        due = ", but one is due every %s" % duration(interval) if interval else ""
        reason = "its last heartbeat was %s ago%s: it may be frozen" % (duration(heartbeat.age), due)
        return Health(CRITICAL, "PM201", reason, remedy(name, CRITICAL, "PM201", fields))
    verdict = fields.get("verdict")
    level, code = values.text(verdict, "level"), values.text(verdict, "code") or ""
    if level not in SEVERITY:
        return Health(UNKNOWN, reason="its heartbeat has no verdict", remedy=remedy(name, UNKNOWN, "", fields))
    return Health(level, code, values.text(verdict, "reason") or "", remedy(name, level, code, fields))


def _of_finding(name, event):
    level = event.level if event.level in SEVERITY else WARNING
    hint = "procman health %s; procman explain %s" % (name, event.code) if event.code else "procman health %s" % name
    return Health(level, event.code, event.reason, hint)


def _worse(own, found):
    return found if SEVERITY.index(found.level) > SEVERITY.index(own.level) else own


def _tasks(heartbeat):
    found = []
    for task in values.items(heartbeat.fields, "tasks"):
        since, written = values.number(task, "since"), values.number(heartbeat.fields, "written")
        seconds = None if since is None or written is None else written - since + heartbeat.age
        found.append(Task(values.text(task, "id"), values.text(task, "name") or "?", seconds))
    return found


def _entries(heartbeat, wall):
    found = []
    for entry in values.items(heartbeat.fields, "next_entries"):
        due, written = values.number(entry, "due"), values.number(heartbeat.fields, "written")
        at = None if due is None or written is None else wall + due - written - heartbeat.age
        found.append(Entry(values.text(entry, "name") or "?", at))
    return found


def _queues(fields):
    return [
        QueueLength(name, values.count(each, "messages"), values.count(each, "consumers"))
        for each in values.items(fields, "queues")
        for name in [values.text(each, "name")]
        if name
    ]


def duration(seconds):
    """Return a length of time in at most six characters: 42s, 5m10s, 3h20m, 12d4h."""
    whole = max(0, int(seconds))
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return "%d%s" % (whole // size, unit) + ("%d%s" % (rest, small_unit) if rest else "")
    return "%ds" % whole
