"""Projects that share a process manager must agree on its supervisord."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from procman.backends import other_commands, process_manager
from procman.install.plan.describe import describe
from procman.install.state.manifest import Manifest
from procman.model import BackendName, SupervisorMode
from procman.project import Rendering
from tests.backends.supervisor.projects import reference


def manifest(name: str, supervisord: str | None = None, *, backend: BackendName = BackendName.SUPERVISOR) -> Manifest:
    settings = replace(
        reference().supervisor, mode=SupervisorMode.EMBEDDED, supervisord=Path(supervisord) if supervisord else None
    )
    project = replace(reference(name=name), supervisor=settings, backend=backend)
    return describe(project, Rendering((), ()), [], procman="0", configuration=b"", templates_digest="")


def test_keys_for_its_start_do_not_identify_a_process_manager() -> None:
    with_unit, without = manifest("one", "/opt/procman/bin/supervisord"), manifest("other")
    assert process_manager(with_unit) == process_manager(without)
    existing = replace(without, supervisor=replace(without.supervisor, mode=SupervisorMode.EXISTING))
    assert process_manager(existing) != process_manager(without)
    extended = replace(existing, supervisor=replace(existing.supervisor, extend_stop_timeout=True))
    assert process_manager(existing) == process_manager(extended)


def test_project_under_systemd_has_another_process_manager() -> None:
    assert process_manager(manifest("one", backend=BackendName.SYSTEMD)) != process_manager(manifest("other"))


def test_projects_with_a_shared_unit_must_name_the_same_supervisord() -> None:
    desired, same, none = manifest("one", "/a/supervisord"), manifest("same", "/a/supervisord"), manifest("none")
    assert [*other_commands(desired, [same, none])] == []
    assert [*other_commands(none, [same])] == []
    [problem] = other_commands(desired, [same, manifest("other", "/b/supervisord")])
    assert "supervisor.supervisord: other has /b/supervisord" in problem
