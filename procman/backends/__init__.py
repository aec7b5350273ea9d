"""The process managers procman drives; one literal dict names them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

from procman.model import BackendName, Scope, SupervisorSettings

if TYPE_CHECKING:
    from procman.backends.base import Control, Controller, Files, Verify

PACKAGES = {
    BackendName.SUPERVISOR: "procman.backends.supervisor",
    BackendName.SYSTEMD: "procman.backends.systemd",
}


def files(backend: BackendName) -> Files:
    """Return what renders for BACKEND; imported now, for `status` must not wait for Jinja."""
    return cast("Files", importlib.import_module(f"{PACKAGES[backend]}.renderer"))


def verify(backend: BackendName) -> Verify:
    """Return what reads back what was rendered for BACKEND."""
    return cast("Verify", importlib.import_module(f"{PACKAGES[backend]}.verify"))


def controller(backend: BackendName, project: str, scope: Scope, supervisor: SupervisorSettings) -> Controller:
    """Return what speaks to the process manager of PROJECT under BACKEND."""
    module = cast("Control", importlib.import_module(f"{PACKAGES[backend]}.controller"))
    return module.controller(project, scope, supervisor)
