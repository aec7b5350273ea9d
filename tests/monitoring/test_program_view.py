"""Heartbeats are untrusted: the file of a heartbeat may have any owner and any content (S3)."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from procman.agent.heartbeat_format import MAX_BYTES
from procman.host.process import started
from procman.install.state.manifest import Manifest
from procman.model import InstalledProgram, Kind, Level, State
from procman.monitoring.checks.inputs import NONE, Heartbeat
from procman.monitoring.checks.quick import check_lightly
from procman.monitoring.program_view import Moment, now, owners, program_snapshots, read_heartbeat
from tests.install import sample
from tests.monitoring.checks.records import heartbeat, program, state

PROGRAM = program(name="catmaid-celery")
ENDED = 2**22 + 1
"""Larger than any pid (proc(5), pid_max)."""


def file_of(manifest: Manifest) -> Path:
    return manifest.directories.run("catmaid-celery") / "heartbeat.json"


def written(**changed: Any) -> str:
    return json.dumps({**heartbeat(boot_id=now().boot), **changed})


def read(manifest: Manifest, which: InstalledProgram = PROGRAM, moment: Moment | None = None) -> Heartbeat:
    return read_heartbeat(manifest, which, state(), moment or now())


def test_heartbeat_is_read_and_judged(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(busy=1))
    [found] = program_snapshots(manifest, [PROGRAM], [state()])
    assert found.says["busy"] == 1
    assert found.verdict
    assert (found.verdict.level, found.verdict.code) == ("OK", "PM200")


def test_thresholds_are_those_of_the_project_and_the_program(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(idle_with_messages_since=time.monotonic() - 100))
    patient, impatient = (program(name="catmaid-celery", stall_seconds=seconds) for seconds in (200, 50))
    verdicts = [program_snapshots(manifest, [which], [state()])[0].verdict for which in (patient, impatient)]
    assert [found.code for found in verdicts if found] == ["PM200", "PM301"]


def test_broker_that_answers_is_not_the_cause(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(loop=time.monotonic() - 100, queues_asked=None))
    found = [
        program_snapshots(manifest, [PROGRAM], [state()], broker_answered=answered)[0].verdict
        for answered in (False, True)
    ]
    assert [(each.code, each.level) for each in found if each] == [("PM202", "WARNING"), ("PM202", "CRITICAL")]


@pytest.mark.parametrize("changed", [{"pid": ENDED}, {"boot_id": "of yesterday"}])
def test_heartbeat_of_another_process_or_boot_is_ignored(manifest: Manifest, changed: dict[str, Any]) -> None:
    file_of(manifest).write_text(written(**changed))
    assert read(manifest) == NONE


def test_heartbeat_of_a_living_process_shows_whom_the_program_waits_for(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(pid=os.getppid()))
    [found] = program_snapshots(manifest, [PROGRAM], [state()])
    [result] = check_lightly([found])
    assert (result.level, result.code) == (Level.WARNING, "PM205")
    assert result.detail == f"it waits for process {os.getppid()} of the same program to exit, which holds its lock"
    later = now()
    later = later._replace(monotonic=later.monotonic + 100, wall=later.wall + 100)
    assert read(manifest, moment=later).earlier == os.getppid(), "it may be frozen"


def test_process_that_was_given_the_pid_of_an_ended_one_is_not_waited_for(manifest: Manifest) -> None:
    younger = started(os.getppid())
    assert younger
    ago = time.time() - younger + 10
    file_of(manifest).write_text(written(pid=os.getppid(), written=time.monotonic() - ago))
    assert read(manifest) == NONE


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file of another user")
def test_heartbeat_that_names_a_process_of_another_user_shows_nothing(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(pid=os.getppid()))
    os.chown(file_of(manifest), 65534, 65534)
    assert read(manifest, program(name="catmaid-celery", user="nobody")) == NONE


def test_program_with_process_ids_of_its_own_is_reported_with_the_cause(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(pid=1))
    found = read(manifest)
    assert "PrivatePIDs= in a drop-in" in found.problem
    assert found.remedy == "Remove it: systemctl edit catmaid-celery"
    file_of(manifest).write_text(written(pid=1, written=time.monotonic() - 100))
    assert read(manifest) == NONE


def test_heartbeat_with_another_boot_id_counts_if_the_process_has_written_it(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(boot_id="as a container shows it elsewhere"))
    since = file_of(manifest).stat().st_mtime

    def is_read(since: float | None, moment: Moment | None = None) -> bool:
        return read_heartbeat(manifest, PROGRAM, state(since=since), moment or now()).content is not None

    assert is_read(since - 1)
    assert not is_read(since + 1)
    assert not is_read(None)
    # It may be written after the look began, but not later than now.
    assert is_read(since - 1, now()._replace(monotonic=time.monotonic() - 1000))
    later = time.monotonic() + 1000
    file_of(manifest).write_text(written(boot_id="as a container shows it elsewhere", written=later))
    assert not is_read(since - 1)


def test_missing_file_is_no_heartbeat(manifest: Manifest) -> None:
    assert read(manifest) == NONE


@pytest.mark.parametrize(
    "which", [program(Kind.COMMAND, name="catmaid-celery"), program(name="catmaid-celery", launcher=False)]
)
def test_command_and_program_without_launcher_have_no_heartbeat(manifest: Manifest, which: InstalledProgram) -> None:
    file_of(manifest).write_text(written())
    assert read(manifest, which) == NONE


def test_program_without_a_process_has_no_heartbeat(manifest: Manifest) -> None:
    file_of(manifest).write_text(written())
    assert read_heartbeat(manifest, PROGRAM, state(State.STOPPED), now()) == NONE


def test_symlink_is_not_followed(manifest: Manifest, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text(written())
    file_of(manifest).symlink_to(target)
    found = read(manifest)
    assert found.content is None
    assert found.problem.startswith("its heartbeat is ignored: ")


def test_pipe_does_not_block(manifest: Manifest) -> None:
    os.mkfifo(file_of(manifest))
    found = read(manifest)
    assert found.content is None
    assert found.problem.endswith("is not a regular file")


def test_directory_is_no_heartbeat(manifest: Manifest) -> None:
    file_of(manifest).mkdir()
    assert read(manifest).problem.endswith("is not a regular file")


@pytest.mark.root("only root can give a file away")
def test_file_of_another_user_is_refused(manifest: Manifest) -> None:
    file_of(manifest).write_text(written())
    os.chown(file_of(manifest), 12345, -1)
    assert read(manifest).problem.endswith("belongs to uid 12345")


def test_huge_file_is_not_read(manifest: Manifest) -> None:
    with file_of(manifest).open("w") as file:
        file.write(written())
        file.truncate(2**30)
    before = time.monotonic()
    assert "corrupt" in read(manifest).problem
    assert time.monotonic() - before < 10


def test_file_over_the_size_limit_is_corrupt(manifest: Manifest) -> None:
    padded = written().rjust(MAX_BYTES + 1)
    file_of(manifest).write_text(padded)
    assert read(manifest).problem.endswith("it is too long")
    file_of(manifest).write_text(padded[1:])
    assert read(manifest).content


NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(sorted(heartbeat())), below, max_size=5)
    ),
    max_leaves=10,
)


@given(nonsense=NONSENSE, field=st.sampled_from(sorted(heartbeat())))
@example(nonsense=0, field="written")
def test_field_of_a_wrong_type_makes_a_heartbeat_corrupt_at_most(
    tmp_path_factory: pytest.TempPathFactory, nonsense: Any, field: str
) -> None:
    base = tmp_path_factory.getbasetemp() / "nonsense"
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(base, wish, sample.rendering(base, wish))
    manifest.directories.run("catmaid-celery").mkdir(parents=True, exist_ok=True)
    file_of(manifest).write_text(written(**{field: nonsense}))
    [found] = program_snapshots(manifest, [PROGRAM], [state()])
    # A file that is only old was touched without being written.
    assert found.heartbeat.problem or found.verdict or found.heartbeat == NONE or found.heartbeat.write_problem


@given(content=st.binary(max_size=200))
def test_any_bytes_are_corrupt_or_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    base = tmp_path_factory.getbasetemp() / "bytes"
    wish = sample.DESIRED_STATES["one"]
    manifest = sample.manifest(base, wish, sample.rendering(base, wish))
    manifest.directories.run("catmaid-celery").mkdir(parents=True, exist_ok=True)
    file_of(manifest).write_bytes(content)
    assert "corrupt" in read(manifest).problem


def test_file_that_was_only_touched_counts_as_unwritable(manifest: Manifest) -> None:
    file_of(manifest).write_text(written(written=time.monotonic() - 100))
    [touched] = program_snapshots(manifest, [PROGRAM], [state()])
    assert touched.heartbeat.write_problem
    assert (touched.heartbeat.write_problem.reason, touched.verdict) == ("its disk may be full", None)
    os.utime(file_of(manifest), (0, time.time() - 100))
    [frozen] = program_snapshots(manifest, [PROGRAM], [state()])
    assert not frozen.heartbeat.write_problem
    assert frozen.verdict
    assert frozen.verdict.code == "PM201"


def test_setting_the_clock_changes_nothing(manifest: Manifest) -> None:
    file_of(manifest).write_text(written())
    moment = now()
    for seconds in (-86400, 86400):
        later = Moment(moment.monotonic, moment.wall + seconds, moment.boot)
        assert read(manifest, moment=later) == read(manifest, moment=moment)


def test_owners_are_root_and_the_user_of_the_program() -> None:
    assert owners(None) == {0, os.geteuid()}
    assert owners("no-such-user") == {0}


@pytest.mark.parametrize(
    ("number", "module", "due"),
    [
        (None, None, ""),
        (1, "shop.tasks", "the project's code is newer (module shop.tasks)"),
        (3, "shop.tasks", "the project's code is newer (module shop.tasks and 2 more)"),
        (1, None, "the project's code is newer"),
        (-5, "shop.tasks", ""),
    ],
)
def test_restart_is_due_once_the_program_reports_changed_code(
    manifest: Manifest, number: int | None, module: str | None, due: str
) -> None:
    file_of(manifest).write_text(written(changed_modules=number, changed_module=module))
    [found] = program_snapshots(manifest, [PROGRAM], [state()])
    assert found.restart_due == due
    [alone] = program_snapshots(manifest, [PROGRAM], [state()], with_restarts=False)
    assert alone.restart_due == ""


def test_changed_code_comes_after_changed_files(manifest: Manifest, tmp_path: Path) -> None:
    secrets, started = tmp_path / "celery.env", time.time() - 60
    secrets.touch()
    file_of(manifest).write_text(written(changed_modules=1, changed_module="shop.tasks"))
    changed = replace(manifest, programs=(PROGRAM,), environment_file=secrets)
    [found] = program_snapshots(changed, [PROGRAM], [state(since=started)])
    assert found.restart_due == "the environment file is newer, the project's code is newer (module shop.tasks)"
