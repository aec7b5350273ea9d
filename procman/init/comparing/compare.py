"""Compare the programs of an existing deployment with those of a procman.toml, value by value (`init --compare`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

from procman.init.comparing.behaviour import (
    PLAIN,
    Behaviour,
    Running,
    inherited,
    new_behaviour,
    old_behaviours,
    seen,
)
from procman.init.comparing.reasons import (
    Pair,
    reason_of_field,
    reason_of_limit,
    reason_of_option,
    reason_of_variable,
)
from procman.init.importing.existing import Existing
from procman.model import BackendName, Kind, SupervisorMode
from procman.project import Command, Program, Project
from procman.secrets import is_secret, masked, words_hold_password
from procman.sources import SUPERVISOR

HIDDEN = "***"


@dataclass(frozen=True)
class Value:
    """One value of a program before and after; None: not set. A secret is hidden, and is only compared (S2)."""

    name: str
    """An option of Celery, a variable, or a field of `Behaviour` with blanks: `stop timeout`."""
    old: str | None
    new: str | None
    is_equal: bool
    reason: str = ""
    """Why it differs; empty if no reason is known."""
    in_files: bool = True
    """Whether the files of the existing program have the old value, too, and not only its running process."""


@dataclass(frozen=True)
class Comparison:
    """One existing program and its successor, or only one of them."""

    old: Existing | None
    new: str | None
    """The name of the program in procman.toml."""
    values: tuple[Value, ...] = ()
    problem: str = ""
    """Why they could not be compared."""
    pid: int | None = None
    """The old process, whose command line and environment were compared; None: only its files were."""

    @property
    def differences(self) -> tuple[Value, ...]:
        """The values that differ."""
        return tuple(value for value in self.values if not value.is_equal)

    @property
    def is_explained(self) -> bool:
        """Whether every difference has a reason."""
        return not self.problem and all(value.reason for value in self.differences)


@dataclass(frozen=True)
class ComparedProject:
    """The existing programs of one project, and those of its procman.toml."""

    file: Path | None
    """Its procman.toml; None: standard output."""
    is_written: bool
    """Whether that file was compared, and not the text that init would write."""
    programs: tuple[Comparison, ...]

    @property
    def is_explained(self) -> bool:
        """Whether every difference has a reason."""
        return all(program.is_explained for program in self.programs)


@dataclass(frozen=True)
class Known:
    """What the files do not contain, found out on this host."""

    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """The variables of environment files, by `identity` of the existing program."""
    new_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those of procman's environment file."""
    login: Mapping[str, str] = field(default_factory=dict)
    """HOME, USER and LOGNAME of the programs' user."""
    user: str | None = None
    """The user that runs programs without one; None in system scope, where only root's programs have none."""
    group: str | None = None
    """The group that the programs' user has if none is named."""
    own_settings: str | None = None
    """The module that the app names itself, if DJANGO_SETTINGS_MODULE is not set."""
    running: Mapping[str, Running] = field(default_factory=dict, repr=False)
    """The old processes that run now, by `identity` of the existing program."""


def identity(existing: Existing) -> str:
    """Return a text that names `existing` among all that were read."""
    return f"{existing.file}: {existing.label}"


def compare(tables: Mapping[str, Sequence[Existing]], project: Project, known: Known) -> list[Comparison]:
    """Return a comparison of each existing program with each worker or beat of `project` that replaces it.

    `tables` are the tables that an import makes of the existing programs. A program of `project` replaces those that it
    adopts, or else those of its table. Where one source runs several programs, only the first table adopts it.
    """
    celery = [program for program in project.programs if not isinstance(program.options, Command)]
    of_tables = Counter(each for programs in tables.values() for each in {old.source for old in programs})
    found: list[Comparison] = []
    for table, old, kind, behaviour in _old_programs(tables, known):
        successors = _successors(old, kind, table, celery, is_shared=of_tables[old.source] > 1)
        found += (_compared(old, kind, behaviour, project, each, known) for each in successors)
        if not successors:
            found.append(Comparison(old, None, problem=f"no {kind.value} of procman.toml replaces it"))
    replaced = {each.new for each in found}
    added = (program.name for program in celery if program.name not in replaced)
    return [*found, *(Comparison(None, name, problem="no existing program became it") for name in added)]


def _old_programs(
    tables: Mapping[str, Sequence[Existing]], known: Known
) -> Iterator[tuple[str, Existing, Kind, Behaviour]]:
    for table, programs in tables.items():
        for existing in programs:
            variables = known.variables.get(identity(existing), {})
            for kind, behaviour in old_behaviours(existing, variables).items():
                yield table, existing, kind, behaviour


def _successors(
    existing: Existing, kind: Kind, table: str, programs: Sequence[Program], *, is_shared: bool
) -> list[Program]:
    of_kind = [program for program in programs if program.kind is kind]
    own = [program for program in of_kind if program.key == table]
    if is_shared and own:
        return own
    adopting = [program for program in of_kind if str(existing.source) in program.adopts]
    # A project has one beat, which also replaces the one inside a worker.
    return adopting or (of_kind if kind is Kind.BEAT else own)


def _compared(
    existing: Existing, kind: Kind, old: Behaviour, project: Project, program: Program, known: Known
) -> Comparison:
    new = new_behaviour(project, program, known.new_variables)
    running = known.running.get(identity(existing))
    of_files = known.variables.get(identity(existing), {}).keys()
    private = {*of_files, *(running.environment if running else ())}
    private = (private - existing.environment.keys() - new.environment.keys()) | known.new_variables.keys()
    files = _on_this_host(old, known)
    if running:
        new = inherited(new, old, running) if _stays(existing, project) else new
        old = seen(old, kind, running)
    login = {name: value for name, value in known.login.items() if name in old.environment}
    new = replace(new, environment={**login, **new.environment})
    old, new = _on_this_host(old, known), _on_this_host(new, known)
    set_by_files = existing.environment.keys() | of_files
    pair = Pair(existing, kind, old, new, project.backend, set_by_files, known.own_settings)
    return Comparison(
        existing, program.name, tuple(_values(pair, files, private)), pid=running.pid if running else None
    )


def _stays(existing: Existing, project: Project) -> bool:
    """Return whether the supervisord that runs the old program will run the new one, with its own environment."""
    is_supervisord = existing.source is not None and existing.source.scheme == SUPERVISOR
    existing_one = project.supervisor.mode is SupervisorMode.EXISTING
    return is_supervisord and existing_one and project.backend is BackendName.SUPERVISOR


def _is_hidden_option(option: str, value: str) -> bool:
    return words_hold_password((option, value))


def _on_this_host(behaviour: Behaviour, known: Known) -> Behaviour:
    """Return `behaviour` with the user and group that it has if it names none."""
    return replace(behaviour, user=behaviour.user or known.user, group=behaviour.group or known.group)


def _values(pair: Pair, files: Behaviour, private: AbstractSet[str]) -> Iterator[Value]:
    """Yield every value; `files` is the old program as its files alone describe it."""
    yield from _group(pair, reason_of_field, _plain(pair.old), _plain(pair.new), _plain(files))
    yield from _group(pair, reason_of_option, pair.old.options, pair.new.options, files.options, _is_hidden_option)
    yield from _group(pair, reason_of_limit, pair.old.limits, pair.new.limits, files.limits)

    def is_hidden(name: str, value: str) -> bool:
        return name in private or is_secret(name, value)

    old, new = pair.old.environment, pair.new.environment
    yield from _group(pair, reason_of_variable, old, new, files.environment, is_hidden)


def _plain(behaviour: Behaviour) -> dict[str, str | None]:
    return {name.replace("_", " "): getattr(behaviour, name) for name in PLAIN}


def _group(
    pair: Pair,
    explain: Callable[[Pair, str, str | None, str | None], str],
    old: Mapping[str, str | None],
    new: Mapping[str, str | None],
    files: Mapping[str, str | None],
    is_hidden: Callable[[str, str], bool] = lambda _name, _value: False,
) -> Iterator[Value]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        why = "" if before == after else explain(pair, name, before, after)
        hidden = any(value is not None and is_hidden(name, value) for value in (before, after))
        in_files = before == files.get(name)
        yield Value(name, _shown(before, hidden), _shown(after, hidden), before == after, why, in_files)


def _shown(value: str | None, hidden: bool) -> str | None:
    if value is None:
        return None
    return HIDDEN if hidden else masked(value)
