"""The way from a manifest to its process manager; apart from the orders, for `status` gives none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procman import backends
from procman.install.manifest import Manifest
from procman.model import BackendName

if TYPE_CHECKING:
    from procman.backends.base import Controller


def controller_of(manifest: Manifest) -> Controller:
    """Return what speaks to the process manager of an installed project."""
    return backends.controller(manifest.backend, manifest.project, manifest.scope, manifest.supervisor)


def process_manager(manifest: Manifest) -> tuple[object, ...]:
    """Return which process manager it is: equal for two projects, or two generations, under the same one."""
    if manifest.backend is BackendName.SYSTEMD:
        return (manifest.backend,)
    return (manifest.backend, manifest.supervisor.mode, manifest.supervisor.configuration, manifest.supervisor.include)
