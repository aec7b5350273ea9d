"""The process managers that procman controls: the record of each, and the controller of an installed project."""

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
    """Return the record of the backend `name`, which is in the package of that name."""
    return cast("Backend", import_module(f"{__name__}.{name.value}").BACKEND)


def controller_of(manifest: Manifest) -> Controller:
    """Return the controller for the process manager of an installed project."""
    return backend_named(manifest.backend).controller(manifest.project, manifest.scope, manifest.supervisor)


def process_manager(manifest: Manifest) -> tuple[object, ...]:
    """Return an identity of the process manager, equal for two projects or generations that use the same one."""
    return (
        manifest.backend,
        *(getattr(manifest.supervisor, name) for name in backend_named(manifest.backend).identity),
    )


def other_commands(desired: Manifest, others: Iterable[Manifest]) -> Iterator[str]:
    """Yield a problem for each of the `others` that names another supervisord for the unit shared with `desired`."""
    own = desired.supervisor.supervisord
    for other in others:
        configured = other.supervisor.supervisord
        if own and configured not in (None, own) and process_manager(desired) == process_manager(other):
            yield (
                f"{desired.configuration_file}: supervisor.supervisord: {other.project} has {configured}, but both "
                f"share one unit: use the same value in {other.configuration_file}"
            )
