"""The process managers procman controls: the record of each, and the one that an installed project is under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from procman.backends.base import Controller
    from procman.backends.record import Backend
    from procman.install.state.manifest import Manifest
    from procman.model import BackendName


def backend_named(name: BackendName) -> Backend:
    """Return the record of the backend NAME, which stands in the package of that name."""
    return cast("Backend", import_module(f"{__name__}.{name.value}").BACKEND)


def controller_of(manifest: Manifest) -> Controller:
    """Return what speaks to the process manager of an installed project."""
    return backend_named(manifest.backend).controller(manifest.project, manifest.scope, manifest.supervisor)


def process_manager(manifest: Manifest) -> tuple[object, ...]:
    """Return which process manager it is: equal for two projects, or two generations, under the same one."""
    return (
        manifest.backend,
        *(getattr(manifest.supervisor, name) for name in backend_named(manifest.backend).identity),
    )


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
