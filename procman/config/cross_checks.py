"""What no single key can see: clashes between names, and keys that do not go together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from procman.backends.record import Rule
from procman.config.document import Document
from procman.config.read_systemd import check_directives
from procman.model import Scope
from procman.project import Program, Project, Worker

LONGEST_NAME = 63
RESERVED_NAMES = {
    "procman": "/var/lib/procman and /etc/procman are procman's own",
    "supervisor": "its directory below /var/lib/procman belongs to procman's own supervisord",
    "lock": "below /var/lib/procman that is the lock of every install",
}
"""Names of projects whose directories would be procman's own, each with the reason."""


def check(document: Document, project: Project, rules: Iterable[Rule]) -> None:
    """Note every problem between the keys of PROJECT in DOCUMENT; RULES are those of what it is rendered for."""
    _check_user(document, project)
    _check_names(document, project)
    _check_node_names(document, project.programs)
    _check_workers(document, project.programs)
    _check_limits(document, project)
    _check_rules(document, project, rules)
    check_directives(document, project)


def _check_user(document: Document, project: Project) -> None:
    if not document.is_valid("project") or not document.is_valid("project.scope"):
        return
    if project.scope is Scope.SYSTEM and project.user is None and document.is_valid("project.user"):
        document.add_problem("project.user", 'missing: name the user the programs run as, such as "www-data"')
    if project.user == "root":
        document.add_problem(
            "project.user", "root does not run the project's code: name a user that owns no more than it needs"
        )
    if project.scope is Scope.USER:
        for key, value in (("user", project.user), ("group", project.group)):
            if value is not None:
                document.add_problem(
                    f"project.{key}", 'not allowed with scope = "user": programs run as whoever installs them'
                )


def _check_names(document: Document, project: Project) -> None:
    if project.name in RESERVED_NAMES:
        document.add_problem("project.name", f"{project.name} is taken, choose another: {RESERVED_NAMES[project.name]}")
    owners = {project.name: "the project itself", f"{project.name}-health": "procman's own health check"}
    complained: set[tuple[str, str]] = set()
    for program in project.programs:
        if len(program.name) > LONGEST_NAME and (program.key, "") not in complained:
            complained.add((program.key, ""))
            document.add_problem(
                program.key, f"its installed name {program.name} is longer than {LONGEST_NAME} characters: shorten it"
            )
        for name in _names(program, project):
            other = owners.setdefault(name, program.key)
            if other != program.key and (program.key, other) not in complained:
                complained.add((program.key, other))
                document.add_problem(program.key, f"the name {name} is taken by {other}: rename one of them")


def _names(program: Program, project: Project) -> Iterator[str]:
    yield program.name
    if program.key != "beat":
        # Of several instances the name without a number means all.
        yield f"{project.name}-{program.key.partition('.')[2]}"


def _check_node_names(document: Document, programs: tuple[Program, ...]) -> None:
    # With the same node name twice, the second worker dies with ResourceLocked on AMQP (Celery 5.7).
    owners: dict[str, str] = {}
    for program in programs:
        if isinstance(program.options, Worker):
            other = owners.setdefault(program.options.node_name, program.key)
            if other != program.key:
                document.add_problem(
                    f"{program.key}.hostname",
                    f"{other} has the node name {program.options.node_name} too: write another hostname, or none",
                )


def _check_workers(document: Document, programs: tuple[Program, ...]) -> None:
    for program in programs:
        worker = program.options
        if not isinstance(worker, Worker):
            continue
        soft, hard = worker.soft_time_limit_seconds, worker.time_limit_seconds
        if soft is not None and hard is not None and soft >= hard:
            document.add_problem(
                document.setting(program.key, "soft_time_limit_seconds"),
                f"expected less than time_limit_seconds ({hard}): a task would be killed before it is told to end",
            )
        for queue in sorted({*worker.queues} & {*worker.exclude_queues}):
            document.add_problem(
                document.setting(program.key, "exclude_queues"), f"{queue} stands in queues too: keep it in one of them"
            )


def _check_limits(document: Document, project: Project) -> None:
    for program in project.programs:
        if program.nice < 0 and project.scope is Scope.USER:
            place = document.setting(program.key, "nice")
            document.add_problem(place, 'below 0 is not possible with scope = "user": only root may do it')
        high, most = program.memory_high_mib, program.memory_max_mib
        if high is not None and most is not None and high > most:
            place = document.setting(program.key, "memory_high_mib")
            document.add_problem(place, f"it is above memory_max_mib ({most}): write less, or more there")


def _check_rules(document: Document, project: Project, rules: Iterable[Rule]) -> None:
    """Note every value that what PROJECT is rendered for cannot do; with a wrong backend nobody knows what that is."""
    if not document.is_valid("project.backend"):
        return
    for rule in rules:
        if rule.scope and not (rule.scope is project.scope and document.is_valid("project.scope")):
            continue
        if rule.beside and all(value is None for _, value in _settings(document, project, rule.beside)):
            continue
        for place, value in _settings(document, project, rule.key):
            if value is not None and re.search(rule.refused, str(value)):
                document.add_problem(place, rule.problem.format(value=value))


def _settings(document: Document, project: Project, key: str) -> list[tuple[str, object]]:
    """Return where the KEY of a rule is set, and to what; that of programs is set once for each."""
    table, name = key.split(".")
    if table == "program":
        return [(document.setting(each.key, name), getattr(each, name)) for each in project.programs]
    return [(key, getattr(project if table == "project" else getattr(project, table), name))]
