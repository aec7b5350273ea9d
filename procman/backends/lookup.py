"""The way from a manifest to its process manager; apart from the orders, for `status` gives none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from procman import backends
from procman.install.state.manifest import Manifest
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


def other_commands(desired: Manifest, others: Iterable[Manifest]) -> Iterator[str]:
    """Yield a problem for each of the OTHERS that names another supervisord for the unit it shares with DESIRED."""
    own = desired.supervisor.supervisord
    for other in others:
        theirs = other.supervisor.supervisord
        if own and theirs not in (None, own) and process_manager(desired) == process_manager(other):
            yield (
                f"{desired.configuration_file}: supervisor.supervisord: {other.project} has {theirs}, and both share "
                f"one unit: write the same in both (the other is {other.configuration_file})"
            )
