"""Formats that procman renders for engines that it does not control."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from procman.backends.base import ExportTarget

TARGETS = ("compose", "dockerfile", "kubernetes")
"""The names that users type; each is a module of this package."""


def target_named(name: str) -> ExportTarget:
    """Return the export target called `name`, one of `TARGETS`."""
    return cast("ExportTarget", import_module(f"procman.export.{name}").TARGET)
