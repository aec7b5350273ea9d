"""PM949: two programs of all the files together that have one node name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procman.celery_cli.multi import MultiProblem, Node, nodes_of
from procman.celery_cli.node_names import ANY_HOST, NAMED_ALIKE, node_name
from procman.celery_cli.parse import CeleryCommand, read_command
from procman.lint.inputs import Finding, Part, finding
from procman.model import Kind, Level


def node_names_differ(parts: Sequence[Part]) -> Iterator[Finding]:
    """Yield PM949: on one broker, two workers with one node name take each other's mailbox."""
    owners: dict[str, Part] = {}
    for part in parts:
        for name in _node_names(part):
            other = owners.setdefault(name, part)
            # supervisord merges sections of one name, and one file of a unit takes the place of another.
            if (other.reader, other.name) != (part.reader, part.name):
                yield _finding(part, other, name)


def _node_names(part: Part) -> list[str]:
    # The name of a template's worker has usually its instance (%i), which is not known.
    is_unknown = part.command is None or part.name.endswith("@.service")
    workers = [command for command in _commands(part) if command.kind is Kind.WORKER] if not is_unknown else []
    return [node_name(str(hostname) if (hostname := each.values.get("hostname")) else None) for each in workers]


def _commands(part: Part) -> list[CeleryCommand]:
    commands = [read_command(node.words) for node in _nodes(part)] if part.started.multi else [part.started.command]
    return list(filter(None, commands))


def _nodes(part: Part) -> Sequence[Node]:
    try:
        return nodes_of(part.started.words)
    except MultiProblem:
        return []


def _finding(part: Part, other: Part, name: str) -> Finding:
    one, two = _app(part), _app(other)
    is_doubtful = bool(one and two and one != two)
    place = f"{other.command.file}:{other.command.line}" if other.command else str(other.file)
    condition = "if both use one broker, " if is_doubtful else ""
    why = f"{other.name} ({place}) has the node name {name.replace(ANY_HOST, '%h')} too: {condition}{NAMED_ALIKE}"
    level = Level.WARNING if is_doubtful else Level.CRITICAL
    return finding("PM949", level, part, part.command, "-n", why, "give each worker its own name: -n NAME@%%h")


def _app(part: Part) -> str:
    app = next((command.project.get("app") for command in _commands(part)), None)
    return str(app or "").partition(":")[0].partition(".")[0]
