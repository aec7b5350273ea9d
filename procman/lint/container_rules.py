"""PM96x: the stop of a container, its probes, and how many beats an engine runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from procman.lint.beat_rules import scheduler_locks
from procman.lint.container_init import signals_group
from procman.lint.inputs import Finding, Part, Reader, finding
from procman.model import Kind, Level

WORDS_OF_GRACE = {Reader.COMPOSE: "stop_grace_period", Reader.KUBERNETES: "terminationGracePeriodSeconds"}

GRACEFUL = ("TERM", "15", "INT", "2")

IGNORED_STATUS = re.compile(r"(?:\|\||;|&&)\s*(?:(?:/usr)?(?:/bin/)?true|:|exit\s+0|echo\b[^|;&]*)\s*\Z")
"""The end of a shell command whose status is always 0, unless `&&` stops before it."""

ALWAYS_ZERO = re.compile(r"(?<!\|)\|&?\s*(?:(?:/usr)?/bin/)?(?:tee|cat|head|tail|wc|sort)\b[^|;&]*\Z")
"""The end of a pipeline whose status is that of its last command, unless `pipefail` is set."""

COMMENT = re.compile(r"\s#[^'\"\n]*\Z")

GREP = r"\|\s*[ef]?grep\s+(?!(?:-\S+\s+){0,9}(?:-\w*v|--invert))[^|\[]*"
FINDS_ITSELF = re.compile(rf"\bps\b[^|]*(?:{GREP})+(?:\|\|\s*exit\s+[1-9]\d*\s*)?\Z")
"""`ps | grep celery`, which always finds the grep, or the shell whose text has all of the words."""

SHELL = re.compile(r"(?:ba|da|z|k|a)?sh|busybox")
NEEDS_SHELL = re.compile(r"\$\{?(?!\()[A-Za-z_]|\$\((?![A-Z_][A-Z0-9_]*\))|`")
"""What only a shell replaces; Kubernetes itself replaces `$(NAME)`."""

ASKS_WORKERS = re.compile(r"\bcelery\b.*\b(?:inspect|status)\b|\b(?:inspect\s+ping|control\.ping|\.inspect\()")
NAMES_ONE = re.compile(r"(?:\s-d(?:\s|=|\w)|--destination|destination\s*=|HOSTNAME)")


def grace_is_long_enough(part: Part) -> Iterator[Finding]:
    """Yield PM960."""
    default, option = part.container.default_grace_seconds, WORDS_OF_GRACE.get(part.reader)
    if part.celery is not Kind.WORKER or default is None or option is None:
        return
    command, at = part.started.command, part.container.grace
    limit = command.values.get("time_limit_seconds") if command else None
    seconds = default if at is None else part.container.grace_seconds
    if seconds is None:
        return
    waits = f"{seconds:g} s" if at else f"{seconds:g} s by default"
    remedy = f"{option}, longer than the longest task takes"
    if isinstance(limit, (int, float)) and seconds < limit:
        why = (
            f"a stop waits {waits}, then kills every task that still runs, and one may take {limit:g} s (--time-limit)"
        )
        yield finding("PM960", Level.CRITICAL, part, at, option, why, remedy)
    elif at is None:
        why = f"a stop waits {waits}, then kills every task that still runs"
        yield finding("PM960", Level.WARNING, part, None, option, why, remedy)


def shell_is_replaced(part: Part) -> Iterator[Finding]:
    """Yield PM961."""
    shell, at = part.started.shell, part.command
    if part.celery is None or shell is None or shell.uses_exec or shell.traps or at is None or not shell.is_read:
        return
    why = (
        "the shell is the main process of the container and does not pass TERM on: the engine waits in vain, then kills"
    )
    remedy = 'the exec form: ["celery", "-A", ...], or exec in front of the last command'
    yield finding("PM961", Level.CRITICAL, part, at, at.name, f"{why} all running tasks", remedy)


def init_signals_one(part: Part) -> Iterator[Finding]:
    """Yield PM962: dumb-init signals its whole session, and tini the group with -g."""
    if not part.has_pool_processes or part.command is None:
        return
    signals = signals_group(part.container.words, part.container.environment)
    if signals:
        why = f"{signals} sends TERM to the pool processes too: they exit at once, and their running tasks are lost"
        remedy = "dumb-init --single-child" if signals == "dumb-init" else "tini without -g"
        first = part.container.entry_point
        at = first if first and signals.partition(" ")[0] in first.value else part.command
        yield finding("PM962", Level.CRITICAL, part, at, at.name, why, remedy)


def probe_can_fail(part: Part) -> Iterator[Finding]:
    """Yield PM963."""
    for probe in part.container.probes if part.celery else ():
        reason = _always_succeeds(probe.words)
        if reason:
            why = f"the probe always succeeds, because {reason}: a stuck program is never restarted"
            remedy = "a command whose exit status is that of the question"
            yield finding("PM963", Level.WARNING, part, probe.setting, probe.setting.name, why, remedy)


def _always_succeeds(words: Sequence[str]) -> str:
    text = COMMENT.sub("", words[-1]).strip() if words else ""
    names = [Path(word).name for word in words]
    if names[:1] in (["true"], ["echo"], [":"]) or re.fullmatch(r"true|:|exit\s+0|echo\b[^|;&]*", text):
        return "it asks nothing"
    if len(names) > 2 and names[0].startswith("python") and "-c" in words and _is_one_string(text):
        return "the quotes make its program a string, which Python only evaluates"
    end = IGNORED_STATUS.search(text)
    if end and not end[0].startswith("&&"):
        return f"it ends with `{end[0].strip('|; ')}`"
    end = None if "pipefail" in " ".join(words) else ALWAYS_ZERO.search(text)
    if end and len(words) > 1:
        return f"its status is that of `{end[0].strip('|& ')}`"
    return "grep finds itself among the processes" if FINDS_ITSELF.search(text) else ""


def _is_one_string(text: str) -> bool:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)


def probe_asks_this(part: Part) -> Iterator[Finding]:
    """Yield PM964."""
    for probe in part.container.probes if part.celery else ():
        text = " ".join(probe.words)
        if not ASKS_WORKERS.search(text):
            continue
        if part.celery is Kind.BEAT:
            why = "workers answer for beat, which does not: the probe succeeds although beat has stopped ticking"
        elif not NAMES_ONE.search(text):
            why = "any worker of the app answers: the probe succeeds as long as another one works"
        elif unexpanded := _unexpanded(probe.words):
            why = f"no shell replaces {unexpanded}: no worker has this name, and the probe always fails"
        else:
            continue
        remedy = "a probe of this program: procman export renders one that reads its heartbeat"
        yield finding("PM964", Level.WARNING, part, probe.setting, probe.setting.name, why, remedy)


def _unexpanded(words: Sequence[str]) -> str:
    """Return the first word that only a shell, which the probe has not, would expand."""
    if any(SHELL.fullmatch(Path(word).name) for word in words):
        return ""
    return next((word for word in words if NEEDS_SHELL.search(word) and "\n" not in word and " " not in word), "")


def beat_is_one(part: Part) -> Iterator[Finding]:
    """Yield PM965."""
    if not (part.celery is Kind.BEAT or _has_beat(part)) or scheduler_locks(part):
        return
    yield from _autoscaled(part)
    container, at, level = part.container, part.container.strategy, Level.CRITICAL
    option, remedy = "strategy", "a StatefulSet with one replica"
    if container.controller == "DaemonSet":
        at, option = None, "kind"
        why = "a beat runs on each node, and each sends every periodic task"
    elif container.replicas > 1:
        at, option, remedy = None, "replicas", "a program of its own for beat" if _has_beat(part) else "replicas: 1"
        why = f"{container.replicas} beats run, and each sends every periodic task"
    elif container.controller == "CronJob" and (at is None or at.value == "Allow"):
        option = "kind"
        why = "a beat never ends: each run of the CronJob starts one more, and each sends every periodic task"
    elif container.controller == "Deployment" and (at is None or at.value != "Recreate"):
        why = "a rolling update starts the new beat before it stops the old one: both send every periodic task"
    elif container.controller == "Deployment":
        level, option = Level.WARNING, "kind"
        why = "if its node is unreachable, a second beat starts elsewhere while the first may still send"
    else:
        return
    yield finding("PM965", level, part, at, option, why, remedy)


def _has_beat(part: Part) -> bool:
    """Return whether it is a worker with a beat (-B)."""
    command = part.started.command
    return part.celery is Kind.WORKER and command is not None and command.with_beat


def _autoscaled(part: Part) -> Iterator[Finding]:
    most = part.container.most_replicas
    if most and int(most.value) > 1:
        why = f"an autoscaler may run {most.value} beats, and each sends every periodic task"
        yield finding("PM965", Level.CRITICAL, part, most, most.name, why, "remove the autoscaler of beat")


def signal_is_graceful(part: Part) -> Iterator[Finding]:
    """Yield PM966."""
    at = part.container.stop_signal
    if part.celery and at and at.value.strip().upper().removeprefix("SIG") not in GRACEFUL:
        why = f"on {at.value} a worker does not finish its tasks: they are lost or run again"
        yield finding("PM966", Level.CRITICAL, part, at, at.name, why, "SIGTERM, or remove the line")
    remapped = part.container.environment.get("REMAP_SIGTERM")
    if part.celery is Kind.WORKER and remapped:
        why = f"with REMAP_SIGTERM={remapped} TERM ends a worker without waiting for its tasks, unless the app sets"
        remedy = "remove the variable"
        why = f"{why} worker_soft_shutdown_timeout"
        yield finding("PM966", Level.WARNING, part, part.command, "REMAP_SIGTERM", why, remedy)
