"""How long a stop of a whole supervisord takes, with everybody's programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.backends.supervisor import renderer
from procman.backends.supervisor.stop_timeout_dropin import drop_in, drop_in_path, is_edited, stop_seconds
from procman.errors import ProcmanError
from procman.model import SupervisorMode, SupervisorSettings
from procman.project import Rendering
from tests.backends.supervisor import projects

PATH = Path("/etc/systemd/system/supervisor.service.d/procman.conf")
NOTHING = Rendering((), ())


@pytest.fixture
def settings(tmp_path: Path) -> SupervisorSettings:
    """A supervisord with files of others: a program of 10 s by default, a group of two, and three of one kind."""
    sections = tmp_path / "conf.d"
    sections.mkdir()
    main = tmp_path / "supervisord.conf"
    main.write_text(
        f"[unix_http_server]\nfile=/run/s\n[supervisord]\n[program:plain]\ncommand=x\n[include]\nfiles={sections}/*.conf\n"
    )
    (sections / "a.conf").write_text(
        "[program:one]\ncommand=x\nstopwaitsecs=100\n[program:two]\ncommand=x\nstopwaitsecs=300\n"
        "[group:both]\nprograms=one,two\n"
    )
    (sections / "b.conf").write_text(
        "[program:many]\ncommand=x\nnumprocs=3\nprocess_name=%(process_num)s\nstopwaitsecs=1000\n"
    )
    return SupervisorSettings(SupervisorMode.EXISTING, main, f"{sections}/*.conf")


def test_groups_are_stopped_one_after_the_other_and_what_is_in_one_together(settings: SupervisorSettings) -> None:
    assert stop_seconds(settings, NOTHING) == 10 + 300 + 1000


def test_what_is_installed_counts_and_what_is_removed_does_not(settings: SupervisorSettings, tmp_path: Path) -> None:
    base = projects.reference()
    places = replace(base.directories, logs=tmp_path)
    rendering = renderer.render(replace(base, supervisor=settings, user=None, directories=places))
    assert stop_seconds(settings, rendering) == 1310 + 3600 + 60
    assert stop_seconds(settings, NOTHING, removed=[tmp_path / "conf.d/b.conf"]) == 310


def test_configuration_that_supervisord_cannot_read_has_no_answer(settings: SupervisorSettings) -> None:
    (settings.configuration.parent / "conf.d/c.conf").write_text("[program:x]\ncommand=x\nstopwaitsecs=soon\n")
    with pytest.raises(ProcmanError, match="soon"):
        stop_seconds(settings, NOTHING)


def test_unit_is_known_for_the_hosts_own_supervisord_alone() -> None:
    debian = projects.reference().supervisor
    assert drop_in_path(debian, PATH.parents[1]) == PATH
    assert drop_in_path(replace(debian, configuration=Path("/srv/supervisord.conf")), PATH.parents[1]) is None
    assert drop_in_path(replace(debian, mode=SupervisorMode.EMBEDDED), PATH.parents[1]) is None


def test_edited_drop_in_is_told_from_one_for_another_time() -> None:
    content = drop_in(PATH, 600).content.encode()
    assert b"\nTimeoutStopSec=630\n" in content
    assert not is_edited(PATH, content)
    assert not is_edited(PATH, content.replace(b"630", b"86430"))
    assert is_edited(PATH, content + b"Nice=5\n")
    assert is_edited(PATH, content.replace(b"=630", b"=infinity"))
