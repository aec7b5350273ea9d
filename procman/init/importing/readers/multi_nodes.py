"""Expand a program that runs `celery multi` into the nodes that it starts."""

from __future__ import annotations

from dataclasses import replace

from procman.celery_cli.multi import MultiProblem, multi_at, nodes_of
from procman.celery_cli.parse import read_command
from procman.init.importing.existing import Existing


def with_nodes(existing: Existing) -> list[Existing]:
    """Return the nodes of a program that runs `celery multi start`; any other program as it is."""
    if existing.command or multi_at(existing.words) is None:
        return [existing]
    try:
        nodes = nodes_of(existing.words)
    except MultiProblem as error:
        return [replace(existing, problem=f"celery multi refuses its options: {error}")]
    if not nodes:
        return [existing]
    return [_node(existing, node.name, node.words) for node in nodes]


def _node(existing: Existing, name: str, words: tuple[str, ...]) -> Existing:
    command = read_command(words)
    problem = "" if command else f"node {name} of celery multi is no worker that can be understood"
    return replace(
        existing,
        label=f"node {name} of {existing.label}",
        name=name,
        words=words,
        command=command,
        problem=problem,
        environment={**existing.environment, **(command.environment if command else {})},
        source=existing.source and existing.source._replace(name=name),
    )
