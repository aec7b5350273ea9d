"""The modules of a backend, which its record imports by name, implement their Protocols."""

from __future__ import annotations

import pytest

from procman.backends import backend_named, supervisor, systemd
from procman.backends.base import ControllerModule, HostCheck, Renderer, Sandbox, SharedFiles, Verifier
from procman.backends.supervisor import controller as supervisor_controller
from procman.backends.supervisor import host_check as supervisor_host_check
from procman.backends.supervisor import renderer as supervisor_renderer
from procman.backends.supervisor import stop_timeout_drop_in
from procman.backends.supervisor import verify as supervisor_verify
from procman.backends.systemd import controller as systemd_controller
from procman.backends.systemd import host_check as systemd_host_check
from procman.backends.systemd import renderer as systemd_renderer
from procman.backends.systemd import sandbox as systemd_sandbox
from procman.backends.systemd import verify as systemd_verify
from procman.model import BackendName, Scope
from tests.backends.supervisor.projects import reference

# mypy compares each module with its Protocol.
RENDERERS: tuple[Renderer, ...] = (supervisor_renderer, systemd_renderer)
VERIFIERS: tuple[Verifier, ...] = (supervisor_verify, systemd_verify)
CONTROLLERS: tuple[ControllerModule, ...] = (supervisor_controller, systemd_controller)
HOST_CHECKS: tuple[HostCheck, ...] = (supervisor_host_check, systemd_host_check)
SANDBOXES: tuple[Sandbox | None, ...] = (None, systemd_sandbox)
SHARED_FILES: tuple[SharedFiles | None, ...] = (stop_timeout_drop_in, None)


@pytest.mark.parametrize("name", BackendName)
def test_record_imports_every_part_of_its_backend(name: BackendName) -> None:
    index = [supervisor.BACKEND, systemd.BACKEND].index(backend := backend_named(name))
    assert backend.renderer is RENDERERS[index]
    assert backend.verifier is VERIFIERS[index]
    assert backend.host_check is HOST_CHECKS[index]
    assert backend.sandbox is SANDBOXES[index]
    assert backend.shared_files is SHARED_FILES[index]
    controller = backend.controller("catmaid", Scope.SYSTEM, reference().supervisor)
    assert type(controller) is type(CONTROLLERS[index].controller("catmaid", Scope.SYSTEM, reference().supervisor))
