"""Formats that procman renders for engines that it does not control."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from procman.backends.base import ExportTarget

if TYPE_CHECKING:
    from procman.project import Project

TARGETS = ("compose", "dockerfile", "kubernetes")
"""The names that users type; each is a module of this package."""


class Engine(ExportTarget, Protocol):
    """An export target, as the modules of this package have one."""

    def notes(self, project: Project, /) -> Iterable[str]:
        """Return what its files assume because no key sets it."""


def target_named(name: str) -> Engine:
    """Return the export target called `name`, one of `TARGETS`."""
    return cast("Engine", import_module(f"procman.export.{name}").TARGET)
