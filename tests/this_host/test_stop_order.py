"""Whether the units that tasks need stop only after the programs, and what to type if not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.base import StopOrder
from procman.backends.supervisor import host_check as supervisor
from procman.backends.systemd import host_check as systemd
from procman.errors import ProcmanError
from procman.host import systemd_host
from procman.host.stop_order import not_started_at_boot, ordered_after, remedy_for, warning_about
from procman.host.systemctl import Systemctl, Unit
from procman.launch import marker
from procman.model import BackendName, Scope, SupervisorMode
from procman.project import Project
from tests.backends.supervisor.projects import embedded, reference

BROKER, DATABASE = "rabbitmq-server.service", "postgresql.service"
AFTER = (BROKER, DATABASE)
EDIT = "systemctl edit supervisor, and add the lines:\n[Unit]\nAfter=rabbitmq-server.service postgresql.service"


@pytest.fixture
def units(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """The properties of the units of a host with systemd; others do not exist."""
    known: dict[str, dict[str, str]] = {}

    def show(_: Systemctl, names: Sequence[str], properties: Sequence[str]) -> dict[str, Unit]:
        assert properties
        found = {name: known.get(name, {"LoadState": "not-found"}) for name in names}
        return {name: Unit(name, {"LoadState": "loaded", **each}) for name, each in found.items()}

    monkeypatch.setattr(Systemctl, "show", show)
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/"))
    return known


def existing(*, extend: bool = False, **changes: object) -> Project:
    project = reference(after=AFTER)
    settings = replace(project.supervisor, extend_stop_timeout=extend, **changes)  # type: ignore[arg-type]
    return replace(project, supervisor=settings)


def too_early(project: Project) -> str:
    return warning_about(project.after, supervisor.stop_order(project)) or ""


def test_existing_supervisord_is_ordered_only_with_permission(units: dict[str, dict[str, str]]) -> None:
    assert too_early(existing(extend=True)) == ""
    text = too_early(existing())
    assert f"{BROKER}, {DATABASE} may stop before running tasks have finished" in text
    assert "extend_stop_timeout = true" in text
    assert text.endswith(EDIT)


def test_own_drop_in_is_respected(units: dict[str, dict[str, str]]) -> None:
    units["supervisor.service"] = {"After": f"basic.target {BROKER}"}
    text = too_early(existing())
    assert text.endswith("After=postgresql.service")
    units["supervisor.service"] = {"After": f"{DATABASE} basic.target {BROKER}"}
    assert too_early(existing()) == ""


def test_order_that_the_next_install_removes_does_not_count(tmp_path: Path, units: dict[str, dict[str, str]]) -> None:
    drop_in, other = tmp_path / "procman-catmaid.conf", tmp_path / "override.conf"
    lines = f"[Unit]\nAfter={BROKER}\nAfter={DATABASE}\n"
    drop_in.write_text(f"# {marker(existing())}\n{lines}")
    shown = {"After": f"basic.target {BROKER} {DATABASE}", "DropInPaths": f"{drop_in} {other} /nowhere/x.conf"}
    units["supervisor.service"] = shown
    assert too_early(existing()).endswith(f"After={BROKER} {DATABASE}")
    # An administrator's, or another project's, has the same lines.
    other.write_text(lines)
    assert too_early(existing()) == ""


def test_supervisord_with_an_unknown_unit_is_reported(units: dict[str, dict[str, str]]) -> None:
    text = too_early(existing(extend=True, configuration=Path("/srv/supervisord.conf")))
    assert "systemctl edit UNIT, where UNIT is the unit that starts supervisord" in text
    assert "extend_stop_timeout" not in text


def test_own_supervisord_needs_a_unit(units: dict[str, dict[str, str]]) -> None:
    own = existing(mode=SupervisorMode.EMBEDDED)
    assert "supervisord = " in too_early(own)
    with_unit = replace(own.supervisor, supervisord=Path("/opt/procman/bin/supervisord"))
    assert too_early(replace(own, supervisor=with_unit)) == ""


def test_users_programs_are_ordered_by_the_unit_of_their_systemd(
    tmp_path: Path, units: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    project = embedded(tmp_path, Path("/home/anna"), 'supervisord = "/opt/procman/bin/supervisord"\n')
    project = replace(project, after=AFTER)
    assert "systemctl edit user@1000, and" in too_early(project)
    order = systemd.stop_order(replace(project, backend=BackendName.SYSTEMD))
    assert order
    assert not order.uses_after
    units["user@1000.service"] = {"After": " ".join(AFTER)}
    assert too_early(project) == ""


def test_systemd_orders_by_the_key_and_by_drop_ins(units: dict[str, dict[str, str]]) -> None:
    project = reference(after=(BROKER,), backend=BackendName.SYSTEMD, scope=Scope.SYSTEM)
    for program in project.programs:
        units[f"{program.name}.service"] = {"After": f"{DATABASE} basic.target"}
    order = systemd.stop_order(project)
    assert order
    assert order.units >= {BROKER, DATABASE}
    # A drop-in of one program alone is not enough.
    units[f"{project.programs[0].name}.service"] = {"After": "basic.target"}
    order = systemd.stop_order(project)
    assert order
    assert DATABASE not in order.units


def test_container_without_systemd_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd_host, "BOOTED", Path("/nowhere"))
    assert "systemd is not running here" in too_early(existing())
    assert too_early(replace(existing(), after=())) == ""
    assert list(not_started_at_boot(AFTER)) == []


def test_unit_that_nothing_starts_at_boot_is_reported(units: dict[str, dict[str, str]]) -> None:
    units[BROKER] = {"UnitFileState": "enabled"}
    units[DATABASE] = {"UnitFileState": "disabled"}
    units["redis.service"] = {"UnitFileState": "disabled", "TriggeredBy": "redis.socket"}
    [text] = not_started_at_boot((*AFTER, "redis.service", "nowhere.service"))
    assert text.startswith(f"{DATABASE}, ")
    assert text.endswith("systemctl enable postgresql")


def test_systemd_that_does_not_answer_orders_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ProcmanError("no answer")

    monkeypatch.setattr(Systemctl, "show", fail)
    assert ordered_after(["supervisor.service"], "") == frozenset()


def test_remedy_of_a_supervisord_without_unit_is_only_the_key() -> None:
    order = StopOrder(frozenset(), uses_after=False, remedy="Set a key.")
    assert remedy_for([BROKER], order) == "Set a key."
