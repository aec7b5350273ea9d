"""What a program does when it is started and stopped, in the same terms before and after an import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from procman.celery_cli.canonical import canonical
from procman.init.importing.existing import Existing, Stop
from procman.launch import launch_of
from procman.model import BackendName, Kind
from procman.project import Program, Project
from procman.sources import INIT_D, PROCFILE, SUPERVISOR, SYSTEMD

OF_PROJECT = ("--app", "--workdir", "--uid", "--gid", "--umask")
"""Options that are fields of `Behaviour`."""

OF_BEAT = ("--schedule", "--scheduler", "--max-interval")
"""Options of a worker that are those of the beat inside it (-B)."""

BY_ITSELF = {
    SUPERVISOR: Stop("TERM", 10, "main", "on-failure"),
    SYSTEMD: Stop("TERM", 90, "group", "never"),
    INIT_D: Stop("TERM", None, "main", "never"),
    PROCFILE: Stop("TERM", 5, "main", "never"),
}
"""How each scheme stops a program if its file does not decide it: supervisor 4.3, systemd.kill(5), honcho 2.0."""

PROCMANS_SIGNAL, PROCMANS_REACH, PROCMANS_RESTARTS = "TERM", "main", "always"
"""The same with both backends; the templates have the reasons."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a worker or beat is started and stopped. None: unknown, or not set."""

    app: str | None = None
    virtualenv: str | None = None
    wrapper: str | None = None
    directory: str | None = None
    user: str | None = None
    group: str | None = None
    umask: str = "022"
    nice: str = "0"
    autostart: str = "yes"
    restarts: str | None = None
    stop_signal: str | None = None
    stop_timeout: str | None = None
    stop_reaches: str | None = None
    sandbox: str = "off"
    """That of procman's units; the directives of a sandbox of its own are among the `limits` of an existing program."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The options of Celery by their long names."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """The keys of LIMITS, options of supervisord and directives of systemd that have no other field."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


PLAIN = tuple(each.name for each in fields(Behaviour) if each.name not in ("options", "limits", "environment"))
"""The fields that hold a single text."""

LIMITS = ("memory_high_mib", "memory_max_mib", "cpu_weight", "tasks_max")


@dataclass(frozen=True)
class Running:
    """The old process of a program as /proc shows it. None or empty: not readable."""

    pid: int
    host: str
    """The host name, which Celery puts in place of %h."""
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    virtualenv: str | None = None
    directory: str | None = None
    user: str | None = None
    group: str | None = None
    umask: str | None = None
    nice: str | None = None


def old_behaviours(existing: Existing, variables: Mapping[str, str]) -> dict[Kind, Behaviour]:
    """Return how `existing` behaves, by kind: a worker with a beat inside it (-B) has both.

    `variables` are those of its environment files.
    """
    command = canonical(existing.words)
    if command is None or existing.command is None:
        return {}
    known, environment = existing.command.project, _environment(existing, variables)
    values = {**existing.command.values, **existing.values}
    options, own = dict(command.options), {}
    for name in OF_PROJECT:
        own[name] = options.pop(name, None)
    workdir, directory = own["--workdir"], existing.directory
    stop = _stop(existing)
    before = Behaviour(
        app=own["--app"] or environment.get("CELERY_APP") or _text(known.get("app")),
        virtualenv=_text(known.get("virtualenv")) or virtualenv_in(environment),
        wrapper=" ".join(existing.wrapper) or None,
        directory=_text((directory or Path("/")) / workdir if workdir else directory),
        user=own["--uid"] or existing.user,
        group=own["--gid"] or existing.group,
        umask=_umask(own["--umask"] or values.get("umask")),
        nice=str(values.get("nice", Behaviour.nice)),
        autostart=_yes(bool(values.get("autostart", True))),
        stop_signal=stop.signal,
        stop_timeout=None if stop.seconds is None else f"{stop.seconds} s",
        stop_reaches=stop.reaches,
        restarts=stop.restarts,
        limits=_limits(values, existing.supervisor_options, existing.systemd_directives),
        environment=environment,
    )
    return {kind: replace(before, options=each) for kind, each in _by_kind(command.kind, options).items()}


def virtualenv_in(environment: Mapping[str, str]) -> str | None:
    """Return the virtualenv whose `celery` a program with `environment` starts, if its PATH begins with one."""
    first = environment.get("PATH", "").partition(":")[0]
    active = environment.get("VIRTUAL_ENV")
    return active if active and first == f"{active}/bin" else None


def _by_kind(kind: Kind, options: Mapping[str, str]) -> dict[Kind, Mapping[str, str]]:
    if "--beat" not in options:
        return {kind: options}
    of_worker = {name: value for name, value in options.items() if name not in OF_BEAT}
    of_beat = {name: value for name, value in options.items() if name in (*OF_BEAT, "--loglevel")}
    return {kind: of_worker, Kind.BEAT: of_beat}


def seen(old: Behaviour, kind: Kind, running: Running) -> Behaviour:
    """Return `old`, as its files describe it, with what /proc shows of the running process instead."""
    shown = {name: getattr(running, name) for name in ("virtualenv", "directory", "user", "group", "umask", "nice")}
    shown |= {"environment": running.environment or old.environment, **_seen_command(old, kind, running)}
    return replace(old, **{name: value for name, value in shown.items() if value is not None})


def _seen_command(old: Behaviour, kind: Kind, running: Running) -> dict[str, object]:
    command = canonical(running.words)
    if command is None:
        return {}
    options = {name: value for name, value in command.options.items() if name not in OF_PROJECT}
    name = options.get("--hostname")
    if name and name == node_name(old.options, running.host):
        options["--hostname"] = old.options["--hostname"]
    return {"options": _by_kind(command.kind, options).get(kind), "app": command.options.get("--app")}


def node_name(options: Mapping[str, str], host: str) -> str:
    """Return the node name of a worker with `options` on `host` (celery.utils.nodenames.host_format)."""
    name, _, domain = host.partition(".")
    values = {"%h": host, "%n": name, "%d": domain, "%%": "%"}
    return re.sub("%[hnd%]", lambda found: values[found[0]], options.get("--hostname", "celery@%h"))


def inherited(new: Behaviour, old: Behaviour, running: Running) -> Behaviour:
    """Return `new` with the variables that the same supervisord passes on; `old` is from the files."""
    passed_on = {
        name: value
        for name, value in running.environment.items()
        if name not in old.environment and not name.startswith("SUPERVISOR_")
    }
    return replace(new, environment={**passed_on, **new.environment})


def _stop(existing: Existing) -> Stop:
    default = BY_ITSELF.get(existing.source.scheme if existing.source else "", Stop())
    own = {name: value for name, value in vars(existing.stop).items() if value is not None}
    return replace(default, **own)


def new_behaviour(project: Project, program: Program, variables: Mapping[str, str]) -> Behaviour:
    """Return how procman runs `program`, a worker or beat; `variables` are those of the environment file.

    The variables of procman itself are left out.
    """
    launch = launch_of(project, program)
    # Before them is either the Python and the launcher, or the wrapper and `celery`.
    arguments = launch.argv[2 if program.launcher else len(program.wrapper) + 1 :]
    command = canonical(("celery", *arguments))
    assert command is not None  # procman itself has written it
    options = dict(command.options)
    environment = {**launch.environment, **variables}
    return Behaviour(
        app=options.pop("--app"),
        virtualenv=str(project.virtualenv),
        wrapper=" ".join(program.wrapper) or None,
        directory=str(launch.directory),
        user=launch.user,
        group=launch.group,
        umask=f"{launch.umask:03o}",
        nice=str(launch.nice),
        autostart=_yes(program.autostart),
        restarts=PROCMANS_RESTARTS,
        stop_signal=PROCMANS_SIGNAL,
        stop_timeout=f"{program.stop_timeout_seconds} s",
        stop_reaches=PROCMANS_REACH,
        sandbox=project.systemd.sandbox.value if project.backend is BackendName.SYSTEMD else Behaviour.sandbox,
        options=options,
        limits=_limits(vars(program), *_own_options(project, program)),
        environment={name: value for name, value in environment.items() if not name.startswith("PROCMAN_")},
    )


def _own_options(project: Project, program: Program) -> tuple[Mapping[str, object], Mapping[str, object]]:
    if project.backend is BackendName.SUPERVISOR:
        return program.supervisor_options, {}
    return {}, {**project.systemd.directives, **program.systemd_directives}


def _limits(values: Mapping[str, object], *options: Mapping[str, object]) -> dict[str, str]:
    found = {name: values[name] for name in LIMITS if values.get(name) is not None}
    for each in options:
        found |= each
    return {name: _joined(value) for name, value in found.items()}


def _joined(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_joined, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _environment(existing: Existing, variables: Mapping[str, str]) -> dict[str, str]:
    # EnvironmentFile= overrides Environment= (systemd.exec(5)); a script sets its own variables after the file's.
    from_unit = existing.source is not None and existing.source.scheme == SYSTEMD
    first, last = (existing.environment, variables) if from_unit else (variables, existing.environment)
    return {**first, **last}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _umask(value: object) -> str:
    if value is None:
        return Behaviour.umask
    try:
        return f"{int(str(value), 8):03o}"
    except ValueError:
        return str(value)
