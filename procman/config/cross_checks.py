"""Checks across keys: names that clash, and keys that do not fit together."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from procman.agent import slots
from procman.backends.record import Rule
from procman.celery_cli.node_names import node_name, with_name
from procman.config.document import Document
from procman.config.read_systemd import check_directives
from procman.model import Scope
from procman.project import STANDARD_STREAMS, Command, Program, Project, Worker

LONGEST_NAME = 63

ACCEPTED_FOR_NOTHING = "PM605"

NOT_OF_A_USER = 'not allowed with scope = "user": the programs run as the user who installs them'

RESERVED_NAMES = {
    "procman": "/var/lib/procman and /etc/procman belong to procman itself",
    "supervisor": "/var/lib/procman/supervisor belongs to procman's own supervisord",
    "lock": "/var/lib/procman/lock is the lock of every install",
}
"""Project names whose directories belong to procman itself, each with the reason."""


def check(document: Document, project: Project, rules: Iterable[Rule]) -> None:
    """Note every problem between keys of `project` in `document`; `rules` are those of its backend or export target."""
    _check_user(document, project)
    _check_names(document, project)
    _check_node_names(document, project.programs)
    _check_workers(document, project.programs)
    _check_commands(document, project)
    _check_first_words(document, project)
    _check_logs(document, project)
    _check_limits(document, project)
    _check_accept(document, project.accept)
    _check_rules(document, project, rules)
    check_directives(document, project)


def _check_user(document: Document, project: Project) -> None:
    if not document.is_valid("project") or not document.is_valid("project.scope"):
        return
    if project.scope is Scope.SYSTEM and project.user is None and document.is_valid("project.user"):
        document.add_problem("project.user", 'missing: name the user that the programs run as, such as "www-data"')
    if project.user == "root":
        document.add_problem("project.user", "the programs cannot run as root: name an unprivileged user")
    if project.scope is Scope.USER:
        for key, value in (("user", project.user), ("group", project.group)):
            if value is not None:
                document.add_problem(f"project.{key}", NOT_OF_A_USER)


def _check_names(document: Document, project: Project) -> None:
    if project.name in RESERVED_NAMES:
        document.add_problem(
            "project.name", f"{project.name} is reserved: {RESERVED_NAMES[project.name]}; choose another name"
        )
    owners = {project.name: "the project itself", f"{project.name}-health": "procman's own health check"}
    reported: set[tuple[str, str]] = set()
    for program in project.programs:
        if len(program.name) > LONGEST_NAME and (program.key, "") not in reported:
            reported.add((program.key, ""))
            document.add_problem(
                program.key, f"the installed name {program.name} is longer than {LONGEST_NAME} characters: shorten it"
            )
        for name in (*_names(program, project), *_slot_names(program)):
            other = owners.setdefault(name, program.key)
            if other != program.key and (program.key, other) not in reported:
                reported.add((program.key, other))
                document.add_problem(program.key, f"the name {name} is taken by {other}: rename one of them")


def _names(program: Program, project: Project) -> Iterator[str]:
    yield program.name
    if program.key != "beat":
        # With several instances, the name without a number means all of them.
        yield f"{project.name}-{program.key.partition('.')[2]}"


def _slot_names(program: Program) -> Iterator[str]:
    worker = program.options
    if isinstance(worker, Worker) and worker.overlap:
        yield from (f"{program.name}-{slot}" for slot in slots.names(worker.overlap_max)[1:])


def _node_names(worker: Worker) -> Iterator[str]:
    yield worker.node_name
    if worker.overlap:
        for slot in slots.names(worker.overlap_max)[1:]:
            yield slots.node_name(with_name(worker.node_name), slot)


def _check_node_names(document: Document, programs: tuple[Program, ...]) -> None:
    # With the same node name twice, the second worker dies with ResourceLocked on AMQP (Celery 5.7).
    owners: dict[str, str] = {}
    for program in programs:
        if isinstance(program.options, Worker):
            for name in _node_names(program.options):
                other = owners.setdefault(node_name(name), program.key)
                if other != program.key:
                    document.add_problem(
                        f"{program.key}.hostname",
                        f"{other} has the node name {name} too: set another hostname, or remove it",
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
                f"expected less than time_limit_seconds ({hard}): "
                "the hard time limit would kill the task before the soft limit fires",
            )
        _check_handback(document, program, worker)
        if worker.overlap and not program.launcher:
            document.add_problem(
                document.setting(program.key, "overlap"),
                "only the launcher's heartbeat shows when a successor consumes: remove launcher = false, or overlap",
            )
        for queue in sorted({*worker.queues} & {*worker.exclude_queues}):
            document.add_problem(
                document.setting(program.key, "exclude_queues"), f"{queue} is in queues too: remove it from one of them"
            )


def _check_handback(document: Document, program: Program, worker: Worker) -> None:
    """Note a `handback_seconds` in the file that leaves no time for tasks; the default is shortened instead."""
    limit, place = program.stop_timeout_seconds, document.setting(program.key, "handback_seconds")
    if worker.handback_seconds >= limit and document.is_set(place):
        document.add_problem(
            place,
            f"expected less than stop_timeout_seconds ({limit}): set a smaller number, 0 for no handback, "
            "or a longer stop_timeout_seconds",
        )


def _check_commands(document: Document, project: Project) -> None:
    for program in project.programs:
        command, key = program.options, program.key
        if not isinstance(command, Command):
            continue
        if command.user == "root":
            document.add_problem(f"{key}.user", "a program cannot run as root: name an unprivileged user")
        if command.reload_signal and command.reload_command:
            document.add_problem(f"{key}.reload_command", "reload_signal is set too: remove one of them")
        if command.reload_signal == command.stop_signal:
            document.add_problem(
                f"{key}.reload_signal", f"{command.stop_signal} is the stop_signal: a reload would stop the command"
            )
        for name in ("user", "group") if project.scope is Scope.USER else ():
            if getattr(command, name) is not None:
                document.add_problem(f"{key}.{name}", NOT_OF_A_USER)


def _check_first_words(document: Document, project: Project) -> None:
    """Note each word that env(1), which searches for a command in PATH, would read as a variable or an option."""
    for program in project.programs:
        command = program.options if isinstance(program.options, Command) else None
        searched = {"reload_command": command.reload_command if command else ()}
        if not program.launcher:
            searched |= {"wrapper": program.wrapper} if program.wrapper else {"argv": command.argv if command else ()}
        for name, words in searched.items():
            first = words[0] if words else "/"
            found = "starts with -" if first.startswith("-") else "contains =" if "=" in first else ""
            if found and (name == "reload_command" or not first.startswith("/")):
                document.add_problem(
                    document.setting(program.key, name),
                    f"the first word {found}: env(1), which runs it, would not take it for a command",
                )


def _check_logs(document: Document, project: Project) -> None:
    """Note each file that two programs would write to, or one program as two files."""
    names = [*(each.name for each in project.programs), f"{project.name}-health"]
    owners = {project.directories.logs / f"{name}.log": name for name in names}
    reported: set[str] = set()
    for program in project.programs:
        for name in ("stdout", "stderr") if isinstance(program.options, Command) else ():
            file, key = getattr(program.options, name), f"{program.key}.{name}"
            if file is None or str(file) in STANDARD_STREAMS:
                continue
            owner = owners.setdefault(file, program.name)
            if owner != program.name and key not in reported:
                reported.add(key)
                problem = f"{owner} writes to it too, and each would rotate the other's log: name another file"
                one_each = ", such as one with {instance}" if getattr(program.options, "instances", 1) > 1 else ""
                document.add_problem(key, problem + one_each)


def _check_limits(document: Document, project: Project) -> None:
    for program in project.programs:
        if program.nice < 0 and project.scope is Scope.USER:
            place = document.setting(program.key, "nice")
            document.add_problem(place, 'below 0 is not possible with scope = "user": only root can raise the priority')
        high, most = program.memory_high_mib, program.memory_max_mib
        if high is not None and most is not None and high > most:
            place = document.setting(program.key, "memory_high_mib")
            document.add_problem(place, f"{high} is above memory_max_mib ({most}): lower it, or raise memory_max_mib")


def _check_accept(document: Document, codes: Collection[str]) -> None:
    """Note each code in `accept` that is unknown, or whose section of the checks describes no warning."""
    if not codes:
        return
    from procman.pages import checks, is_warning, nearest_code  # it reads a long page, for a key that is seldom set

    known = {check.name: check for check in checks()}
    for code in codes:
        if code not in known:
            near = nearest_code(code, known)
            document.add_problem("project.accept", f"unknown code {code}" + (f"; did you mean {near}?" if near else ""))
        elif code == ACCEPTED_FOR_NOTHING:
            document.add_problem("project.accept", f"{code} names what you can remove from this list: remove that")
        elif not is_warning(known[code]):
            remedy = f"remove it here and fix its cause (procman explain {code})"
            document.add_problem("project.accept", f"{code} is never a warning: {remedy}")


def _check_rules(document: Document, project: Project, rules: Iterable[Rule]) -> None:
    """Note every value that a rule of the backend or export target refuses; with an invalid backend there are none."""
    if not document.is_valid("project.backend"):
        return
    for rule in rules:
        if rule.examine:
            _add_found(document, rule.examine(project))
            continue
        if rule.scope and not (rule.scope is project.scope and document.is_valid("project.scope")):
            continue
        beside = _settings(document, project, rule.beside) if rule.beside else []
        for place, value, program in _settings(document, project, rule.key):
            if rule.beside and not any(_is_beside(program, other) for _, set_to, other in beside if set_to is not None):
                continue
            if value is not None and re.search(rule.refused, str(value)):
                document.add_problem(place, rule.problem.format(value=value))


def _add_found(document: Document, found: Iterable[tuple[str, str]]) -> None:
    """Note problems by their keys, except where the value of the key has a problem of its own."""
    for key, problem in found:
        place = document.setting(*key.rsplit(".", 1)) if "." in key else key
        if document.is_valid(place):
            document.add_problem(place, problem)


def _is_beside(program: Program | None, other: Program | None) -> bool:
    """Return whether keys of `program` and of `other` meet; None: those of the whole project."""
    return program is None or other is None or program is other


def _settings(document: Document, project: Project, key: str) -> list[tuple[str, object, Program | None]]:
    """Return each place where the `key` of a rule is set, with its value and its program, if it is one's own."""
    table, name = key.split(".")
    if table == "command":
        commands = [each for each in project.programs if isinstance(each.options, Command)]
        return [(f"{each.key}.{name}", getattr(each.options, name), each) for each in commands]
    if table == "program":
        return [(document.setting(each.key, name), getattr(each, name), each) for each in project.programs]
    return [(key, getattr(project if table == "project" else getattr(project, table), name), None)]
