"""Parse YAML with PyYAML's safe loader, within bounds: aliases can multiply a small file without end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import yaml


class Bounds(NamedTuple):
    """How much a file may contain."""

    most_aliases: int
    most_merged: int
    """Keys that `<<` may bring into one mapping."""
    most_nodes: int | None = None
    """Keys, items and values; None: the size of the text is limited."""


class BoundsExceeded(Exception):
    """The document is larger than any compose file."""


class YamlProblem(Exception):
    """The text is not YAML; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    bounds = Bounds(0, 0)
    aliases = nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self.aliases += 1
            if self.aliases > self.bounds.most_aliases:
                raise BoundsExceeded(f"more than {self.bounds.most_aliases} aliases")
        self.nodes += 1
        if self.bounds.most_nodes is not None and self.nodes > self.bounds.most_nodes:
            raise BoundsExceeded(f"more than {self.bounds.most_nodes} keys and values")
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > self.bounds.most_merged:
            raise BoundsExceeded(f"a mapping with more than {self.bounds.most_merged} keys")


def parse(text: str, bounds: Bounds) -> tuple[Any, dict[str, int]]:
    """Return the document in `text`, and the line of each key below `services`.

    Raises BoundsExceeded or YamlProblem.
    """
    with _problems():
        loader = _loader(text, bounds)
        node = loader.get_single_node()
        lines = _lines(node)
        return (loader.construct_document(node) if node else None), lines


def parse_all(text: str, bounds: Bounds) -> list[tuple[Any, dict[tuple[str | int, ...], int]]]:
    """Return every document in `text`, with the line of each key and item by its path.

    Raises BoundsExceeded or YamlProblem.
    """
    found = []
    with _problems():
        loader = _loader(text, bounds)
        while loader.check_node():
            node = loader.get_node()
            lines: dict[tuple[str | int, ...], int] = {}
            _add_lines(node, (), lines, set())
            found.append((loader.construct_document(node) if node else None, lines))
    return found


def _loader(text: str, bounds: Bounds) -> _Loader:
    loader = _Loader(text)
    loader.bounds = bounds
    return loader


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlProblem(error.problem or "invalid", mark.line + 1 if mark else 1) from None
    except (yaml.YAMLError, ValueError) as error:
        # A date such as 2026-99-99 is a ValueError.
        raise YamlProblem(str(error).split("\n")[0], 1) from None
    except RecursionError:
        raise BoundsExceeded("it contains itself, or is nested too deeply") from None


def _add_lines(
    node: yaml.Node | None, path: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], seen: set[int]
) -> None:
    # Aliases lead to the same node, each of which counts once.
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    entries: list[tuple[str | int, yaml.Node, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        entries = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(number, value, value) for number, value in enumerate(node.value)]
    for name, at, value in entries:
        place = (*path, name)
        lines[place] = at.start_mark.line + 1
        _add_lines(value, place, lines, seen)


def _lines(document: yaml.Node | None) -> dict[str, int]:
    for key, value in document.value if isinstance(document, yaml.MappingNode) else ():
        if key.value == "services" and isinstance(value, yaml.MappingNode):
            return {str(name.value): name.start_mark.line + 1 for name, _ in value.value}
    return {}
