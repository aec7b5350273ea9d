"""Programs of a supervisord that does not run: whether they count as running, and how they come back."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from procman.adoption import supervisord
from procman.config.load import load
from procman.errors import ProcmanError
from procman.model import Adopted
from procman.project import Project
from procman.sources import SUPERVISOR, Source

PROGRAMS = """
[program:on]
command=/bin/celery -A shop worker
[program:off]
command=/bin/celery -A shop beat
autostart=false
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    main = tmp_path / "supervisord.conf"
    main.write_text(f"[unix_http_server]\nfile={tmp_path}/absent.sock\n[supervisord]\n{PROGRAMS}")
    written = tmp_path / "procman.toml"
    written.write_text(
        f'[project]\nname = "shop"\napp = "shop"\ndirectory = "{tmp_path}"\nvirtualenv = "{tmp_path}"\nscope = "user"\n'
        "[worker.celery]\n"
    )
    return load(written, {"HOME": str(tmp_path)})


def source(project: Project, name: str) -> Source:
    return Source(SUPERVISOR, str(project.configuration_file.with_name("supervisord.conf")), name)


def test_autostart_decides_whether_a_program_would_run(project: Project) -> None:
    found = supervisord.find([source(project, "on"), source(project, "off")], project)
    assert [(each.label.partition("]")[0], each.is_running, each.has_beat) for each in found] == [
        ("[program:on", True, False),
        ("[program:off", False, True),
    ]
    assert [supervisord.stop(each, 60, print) for each in found] == ["its supervisord is not running"] * 2
    assert [supervisord.forget(each, print) for each in found] == ["", ""]


def test_program_comes_back_with_its_supervisord_by_the_command_that_is_printed(project: Project) -> None:
    main = source(project, "on").place
    adopted = Adopted(str(source(project, "on")), "shop-celery", was_running=True, was_enabled=True, manager=main)
    done = supervisord.bring_back(adopted, print)
    assert done == f"starts with its supervisord, which is not running: supervisord -c {main}"
    with pytest.raises(ProcmanError, match="does not define it: it was changed after the adoption"):
        supervisord.bring_back(replace(adopted, source=str(source(project, "gone"))), print)


def test_every_source_that_cannot_be_adopted_is_reported(project: Project) -> None:
    unread = Source(SUPERVISOR, str(project.configuration_file.with_name("unread.ini")), "on")
    Path(unread.place).write_text(PROGRAMS)
    with pytest.raises(ProcmanError) as error:
        supervisord.find([source(project, "absent"), unread], project)
    first, second = error.value.message.splitlines()
    assert first == f"{source(project, 'absent')}: that file defines no program absent, only on, off"
    assert second.startswith(f"{unread}: no supervisord of this host reads that file")


def test_fifo_in_the_place_of_a_file_is_refused_and_does_not_block(project: Project, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "old.conf")
    with pytest.raises(ProcmanError, match="old: it is not a regular file"):
        supervisord.find([Source(SUPERVISOR, f"{tmp_path}/old.conf", "old")], project)
