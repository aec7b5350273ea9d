"""The agent's files as ConfigMaps, which `kubectl apply` accepts only up to a size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from procman.export.containers import agent_files
from procman.project import Project

LARGEST = 180_000
"""Bytes of the files in one ConfigMap: `kubectl apply` keeps a copy as JSON in an annotation, of at most 256 KiB."""


@dataclass(frozen=True)
class AgentMap:
    """One ConfigMap, named after its content, so that a later procman starts new pods."""

    name: str
    files: tuple[tuple[str, list[str]], ...]
    """Each with its name and its lines."""


def agent_maps(project: Project) -> tuple[AgentMap, ...]:
    """Return the ConfigMaps that together hold the launcher and the files beside it."""
    files = {file.path.name: file.content for file in agent_files(project, Path("/"))}
    return tuple(_map(project, number, names, files) for number, names in enumerate(_parts(files), 1))


def _parts(files: dict[str, str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for name, text in files.items():
        length = len(text.encode())
        if part and size + length > LARGEST:
            yield part
            part, size = [], 0
        part.append(name)
        size += length
    if part:
        yield part


def _map(project: Project, number: int, names: Iterable[str], files: dict[str, str]) -> AgentMap:
    found = tuple((name, files[name].removesuffix("\n").split("\n")) for name in names)
    digest = hashlib.sha256("\0".join(f"{name}\0{files[name]}" for name in names).encode()).hexdigest()
    return AgentMap(f"{project.name}-agent-{number}-{digest[:10]}", found)
