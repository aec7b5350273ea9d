"""Existing programs become the tables of a procman.toml that the loader accepts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from procman.accounts import account
from procman.config.load import load
from procman.init.draft import Draft
from procman.init.importing.existing import Existing, Remark
from procman.init.importing.refused import take_out_refused
from procman.init.importing.take import became, take_programs, take_project
from procman.init.importing.variables import share_environment
from procman.init.importing.variables_files import read_files
from procman.init.write_toml import text_of
from procman.project import Beat, Project, Worker
from procman.sources import INIT_D, SUPERVISOR, SYSTEMD, Source
from tests.init.importing.programs import BEAT, WORKER, existing


def taken(programs: Sequence[Existing], name: str = "shop", *, has_systemd: bool = False) -> Draft:
    draft = Draft({"project": {"name": name}, "supervisor": {"mode": "embedded"}}, is_import=True)
    files = read_files([path for each in programs for path in each.environment_files], "www-data")
    take_project(draft, programs, files, has_systemd=has_systemd)
    tables = take_programs(draft, programs, files)
    share_environment(draft)
    draft.findings += became(tables, name)
    take_out_refused(draft, Path("/etc/procman/shop.toml"), {}, tables)
    return draft


def loaded(draft: Draft, directory: Path) -> Project:
    file = directory / "procman.toml"
    file.write_text(text_of(draft))
    return load(file, {})


def remarks(draft: Draft) -> dict[str, Remark]:
    return {each.what: each for each in draft.import_remarks}


def test_each_program_becomes_a_table_that_adopts_it(tmp_path: Path) -> None:
    programs = [existing("shop_worker_a", f"{WORKER} -Q a -c 2"), existing("celerybeat", BEAT)]
    draft = taken(programs)
    project = loaded(draft, tmp_path)
    worker, beat = project.programs
    assert (project.app, project.directory, project.user) == ("shop", Path("/srv/shop"), "www-data")
    assert (project.virtualenv, project.backend.value) == (Path("/srv/env"), "supervisor")
    assert (worker.name, beat.name) == ("shop-worker-a", "shop-celery-beat")
    assert worker.adopts == ("supervisor:/etc/supervisor/conf.d/old.conf:shop_worker_a",)
    assert beat.adopts == ("supervisor:/etc/supervisor/conf.d/old.conf:celerybeat",)
    assert isinstance(worker.options, Worker)
    assert (worker.options.queues, worker.options.concurrency) == (("a",), 2)


def test_only_a_beat_gets_no_worker(tmp_path: Path) -> None:
    assert [each.key for each in loaded(taken([existing("beat", BEAT)]), tmp_path).programs] == ["beat"]


def test_units_become_units_in_their_order(tmp_path: Path) -> None:
    source = Source(SYSTEMD, "shop.service")
    after = ("network.target", "redis.service")
    directives = {"PrivateTmp": True, "ReadOnlyPaths": ["/srv"]}
    unit = existing("shop", source=source, after=after, systemd_directives=directives)
    project = loaded(taken([unit]), tmp_path)
    assert (project.backend.value, project.after) == ("systemd", ("redis.service",))
    assert project.programs[0].adopts == ("systemd:shop.service",)
    assert project.programs[0].systemd_directives == {"PrivateTmp": ("yes",), "ReadOnlyPaths": ("/srv",)}


def test_init_scripts_become_units_only_where_systemd_runs_them(tmp_path: Path) -> None:
    script = existing("fast", source=Source(INIT_D, "celeryd", "fast"))
    for has_systemd, backend in ((True, "systemd"), (False, "supervisor")):
        project = loaded(taken([script], has_systemd=has_systemd), tmp_path)
        assert (project.backend.value, project.programs[0].adopts) == (backend, ("init.d:celeryd:fast",))


def test_source_of_several_programs_is_adopted_by_the_first_that_starts(tmp_path: Path) -> None:
    source = Source(SUPERVISOR, "/etc/old.conf", "w")
    programs = [existing(name, f"{WORKER} -Q {name}", source=source) for name in ("w_b", "w_a")]
    first, second = loaded(taken(programs), tmp_path).programs
    assert (first.name, first.adopts, second.adopts) == ("shop-w-a", (str(source),), ())


def test_program_that_no_process_manager_runs_adopts_nothing(tmp_path: Path) -> None:
    assert loaded(taken([existing("worker", source=None)]), tmp_path).programs[0].adopts == ()


def test_wrapper_and_options_of_supervisord_are_kept(tmp_path: Path) -> None:
    program = existing("w", wrapper=("ddtrace-run",), supervisor_options={"priority": 7}, values={"nice": 5})
    [worker] = loaded(taken([program]), tmp_path).programs
    assert (worker.wrapper, worker.supervisor_options, worker.nice) == (("ddtrace-run",), {"priority": "7"}, 5)


def test_instances_have_no_node_name_of_their_own(tmp_path: Path) -> None:
    draft = taken([existing("w", values={"instances": 2})])
    assert [each.name for each in loaded(draft, tmp_path).programs] == ["shop-w-1", "shop-w-2"]
    assert draft.findings[0].note == "its new names are shop-w-1 to shop-w-2"


def test_equal_programs_stay_apart(tmp_path: Path) -> None:
    draft = taken([existing("worker-1", f"{WORKER} -n w@%h"), existing("worker-2", f"{WORKER} -n w@%h")])
    first, second = loaded(draft, tmp_path).programs
    assert (first.name, second.name) == ("shop-worker-1", "shop-worker-2")
    # The loader refuses one node name twice.
    names = {each.options.node_name for each in (first, second) if isinstance(each.options, Worker)}
    assert names == {"w@%h", "shop-worker-2@%h"}
    assert "has the node name w@%h too" in remarks(draft)["worker.worker-2.hostname = w@%h"].consequence


# Values that procman.toml cannot have ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (f"{WORKER} --time-limit=60 --soft-time-limit=90", "worker.w.soft_time_limit_seconds = 90"),
        (f"{WORKER} -Q a -X a", "worker.w.exclude_queues = ['a']"),
        (f"{WORKER} -c 0", "concurrency = 0"),
        (f"{WORKER} -P processes", "pool = processes"),
        (f"{WORKER} --app-option x --concurency=2", "--concurency=2"),
        (f"{WORKER} -n 'a b@%h'", "hostname = a b@%h"),
    ],
)
def test_value_that_the_loader_refuses_is_a_remark(tmp_path: Path, line: str, what: str) -> None:
    draft = taken([existing("w", line)])
    found = remarks(draft)
    assert what in found, found
    assert found[what].doubtful
    assert found[what].place == "/etc/supervisor/conf.d/old.conf:1"
    assert loaded(draft, tmp_path).programs[0].name == "shop-w"


def test_refused_option_goes_with_its_value(tmp_path: Path) -> None:
    words = ["--looglevel", "debug", "--statedb", "/var/lib/x", "--", "worker_prefetch_multiplier=1"]
    program = existing("w")
    assert program.command
    program.command.values["extra_arguments"] = words
    [worker] = loaded(taken([program]), tmp_path).programs
    assert isinstance(worker.options, Worker)
    assert worker.options.extra_arguments == tuple(words[2:])


def test_names_are_shortened_so_that_the_loader_accepts_them(tmp_path: Path) -> None:
    names = [f"production-celery_{'reminder_' * 8}queue_{number}" for number in range(2)]
    programs = loaded(taken([existing(name, values={"instances": 12}) for name in names]), tmp_path).programs
    assert len({each.name for each in programs}) == 24
    assert max(len(each.name) for each in programs) <= 63


def test_user_that_cannot_be_written_is_filled_in() -> None:
    draft = taken([existing("w", user="root")])
    assert "the programs cannot run as root" in draft.fill_in["project.user"]
    assert "user" not in draft.tables["project"]


def test_group_is_taken_under_a_supervisord_of_root(tmp_path: Path) -> None:
    draft = taken([existing("w", group="celery")])
    assert loaded(draft, tmp_path).group == "celery"
    assert "project.group = celery" not in remarks(draft)


# Beats ----------------------------------------------------------------------------------------------------------------


def test_beat_inside_a_worker_becomes_a_beat(tmp_path: Path) -> None:
    draft = taken([existing("w", f"{WORKER} -B -s /var/lib/shop/schedule")])
    worker, beat = loaded(draft, tmp_path).programs
    assert isinstance(beat.options, Beat)
    assert (worker.adopts != (), beat.adopts) == (True, ())
    assert beat.options.schedule_file == Path("/var/lib/shop/schedule")
    assert draft.findings[0].note == "its new name is shop-w, and its beat becomes [beat]"


def test_beat_inside_a_worker_keeps_what_it_had_there(tmp_path: Path) -> None:
    values = {"umask": "027", "nice": 5, "autostart": False, "stop_timeout_seconds": 900}
    inside = existing("w", f"{WORKER} -B -l debug", wrapper=("ddtrace-run",), environment={"A": "1"}, values=values)
    worker, beat = loaded(taken([inside]), tmp_path).programs
    assert (beat.umask, beat.nice, beat.autostart, beat.wrapper) == (0o027, 5, False, ("ddtrace-run",))
    assert (beat.environment, beat.options.loglevel) == ({"A": "1"}, "debug")  # type: ignore[union-attr]
    # It has no tasks to wait for.
    assert (worker.stop_timeout_seconds, beat.stop_timeout_seconds) == (900, 60)


@pytest.mark.parametrize("others", ["", " --statedb=/x"])
def test_beat_inside_a_worker_keeps_its_scheduler(tmp_path: Path, others: str) -> None:
    draft = taken([existing("w", f"{WORKER} -B --scheduler redbeat.RedBeatScheduler{others}")])
    worker, beat = loaded(draft, tmp_path).programs
    assert isinstance(worker.options, Worker)
    assert isinstance(beat.options, Beat)
    assert (worker.options.extra_arguments, beat.options.scheduler) == (
        tuple(others.split()),
        "redbeat.RedBeatScheduler",
    )


def test_beat_inside_a_worker_keeps_its_files_of_variables(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\n")
    (tmp_path / "b.env").write_text("A=2\n")
    inside = existing("w", f"{WORKER} -B", environment_files=(tmp_path / "a.env",))
    other = existing("x", WORKER, environment_files=(tmp_path / "b.env",))
    programs = loaded(taken([inside, other]), tmp_path).programs
    assert [(each.key, dict(each.environment)) for each in programs] == [
        ("worker.w", {"A": "1"}),
        ("worker.x", {"A": "2"}),
        ("beat", {"A": "1"}),
    ]


def test_beat_inside_a_worker_beside_a_beat_is_reported(tmp_path: Path) -> None:
    draft = taken([existing("w", f"{WORKER} -B -s /var/lib/old"), existing("beat", f"{BEAT} -s /var/lib/new")])
    _, beat = loaded(draft, tmp_path).programs
    assert isinstance(beat.options, Beat)
    assert beat.options.schedule_file == Path("/var/lib/new")
    assert any("inside a worker, which sends every task twice" in each.consequence for each in draft.import_remarks)


def test_equal_second_beat_is_adopted_too(tmp_path: Path) -> None:
    draft = taken([existing("beat", BEAT), existing("beat2", BEAT)])
    [beat] = loaded(draft, tmp_path).programs
    assert [each.rpartition(":")[2] for each in beat.adopts] == ["beat", "beat2"]
    assert remarks(draft)["[program:beat2]"].changed


def test_second_beat_with_another_schedule_is_not_imported(tmp_path: Path) -> None:
    draft = taken([existing("beat", BEAT), existing("beat2", f"{BEAT} -S django")])
    [beat] = loaded(draft, tmp_path).programs
    assert len(beat.adopts) == 1
    assert remarks(draft)["[program:beat2]"].doubtful


@pytest.mark.parametrize(("place", "is_kept"), [("/var/tmp/x", True), ("/tmp/x", False), ("/dev/shm/x", False)])
def test_schedule_is_not_imported_only_if_a_boot_removes_it(place: str, is_kept: bool) -> None:
    draft = taken([existing("beat", f"{BEAT} -s {place}/schedule")])
    assert (draft.tables["beat"].get("schedule_file") is not None) == is_kept
    assert (f"schedule in {place}" in remarks(draft)) != is_kept


def test_old_directory_of_the_schedule_is_reported() -> None:
    draft = taken([existing("beat", BEAT)])
    assert "copy the file there" in remarks(draft)["schedule in /srv/shop"].consequence


# Variables ------------------------------------------------------------------------------------------------------------


def test_variables_become_keys_and_environment(tmp_path: Path) -> None:
    environment = {
        "DJANGO_SETTINGS_MODULE": "shop.production",
        "PYTHONPATH": "/srv/shop:/srv/lib:",
        "C_FORCE_ROOT": "1",
        "OMP_NUM_THREADS": "2",
        "PATH": "/srv/env/bin:/usr/bin:/opt/tools/bin",
        "TABBED": "x\ty",
    }
    draft = taken([existing("w", environment=environment)])
    project = loaded(draft, tmp_path)
    assert (project.settings, project.python_path) == ("shop.production", (Path("/srv/lib"),))
    assert project.programs[0].environment == {"OMP_NUM_THREADS": "2", "PATH": "/usr/bin:/opt/tools/bin"}
    assert "should not run as root" in remarks(draft)["C_FORCE_ROOT"].consequence
    assert remarks(draft)["TABBED"].consequence == "its value contains a tab"


def test_home_is_imported_if_it_is_not_that_of_the_user() -> None:
    user = account(None)
    assert user
    own = existing("a", user=user.pw_name, environment={"HOME": user.pw_dir, "USER": user.pw_name})
    assert "environment" not in taken([own]).tables
    other = existing("a", user=user.pw_name, environment={"HOME": "/data", "LOGNAME": "web"})
    assert taken([other]).tables["environment"] == {"HOME": "/data", "LOGNAME": "web"}
    unknown = existing("a", user="not-here", environment={"HOME": "/data"})
    assert taken([unknown]).tables["environment"] == {"HOME": "/data"}


def test_variables_of_all_programs_are_moved_to_environment(tmp_path: Path) -> None:
    programs = [existing("a", environment={"A": "1", "B": "2"}), existing("b", environment={"A": "1", "B": "3"})]
    draft = taken(programs)
    assert draft.tables["environment"] == {"A": "1"}
    assert [each.environment for each in loaded(draft, tmp_path).programs] == [
        {"A": "1", "B": "2"},
        {"A": "1", "B": "3"},
    ]


def test_refused_variable_of_a_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "w.env"
    file.write_text("A=1\nCELERY_WORKER_DETACH=1\n")
    draft = taken([existing("w", environment_files=(file,))])
    assert draft.secrets == {"A": "1"}
    assert "detaches" in remarks(draft)["CELERY_WORKER_DETACH"].consequence


def test_variable_whose_name_no_toml_can_contain_is_reported(tmp_path: Path) -> None:
    draft = taken([existing("a", environment={"A\udcdf": "1", "B": "2"})])
    assert "its name contains a" in remarks(draft)["A\udcdf"].consequence
    assert draft.tables["environment"] == {"B": "2"}
    assert loaded(draft, tmp_path).programs


def test_python_paths_of_all_programs_are_joined(tmp_path: Path) -> None:
    programs = [existing("a", environment={"PYTHONPATH": "/x:/y"}), existing("b", environment={"PYTHONPATH": "/z:/x"})]
    assert [str(each) for each in loaded(taken(programs), tmp_path).python_path] == ["/x", "/y", "/z"]


def test_secrets_are_kept_for_the_environment_file() -> None:
    line = f"{WORKER} -b amqp://me:hunter22@host// --my-token=hunter22"
    program = existing("w", line)
    environment = {**program.environment, "PGPASSWORD": "hunter22", "API-TOKEN": "hunter22", "A": "1"}
    draft = taken([existing("w", line, environment=environment)])
    assert draft.secrets == {"CELERY_BROKER_URL": "amqp://me:hunter22@host//", "PGPASSWORD": "hunter22"}
    assert "hunter22" not in repr(draft) + text_of(draft)
    assert "API-TOKEN" in remarks(draft)
    assert remarks(draft)["-b"].changed


# Files of variables ---------------------------------------------------------------------------------------------------


def test_only_file_of_variables_is_referenced(tmp_path: Path) -> None:
    file = tmp_path / "shop.env"
    file.write_text("DJANGO_SETTINGS_MODULE=shop.production\nAPI_TOKEN=hunter22\n")
    draft = taken([existing("a", environment_files=(file,)), existing("b")])
    project = loaded(draft, tmp_path)
    assert (project.environment_file, project.settings) == (file, "shop.production")
    assert draft.secrets == {}
    assert "hunter22" not in text_of(draft) + repr(draft)
    assert "this program gets its variables too" in remarks(draft)[f"environment_file = {file}"].consequence


def test_several_files_of_variables_are_merged(tmp_path: Path) -> None:
    one, two = tmp_path / "one.env", tmp_path / "two.env"
    one.write_text("API_TOKEN=hunter22\nLEVEL=1\nBOTH=same\n")
    two.write_text("LEVEL=2\nBOTH=same\n")
    draft = taken([existing("a", environment_files=(one,)), existing("b", environment_files=(two,))])
    assert draft.secrets == {"API_TOKEN": "hunter22", "BOTH": "same"}
    # One environment file has one value of each variable.
    assert draft.tables["worker.a.environment"] == {"LEVEL": "1"}
    assert draft.tables["worker.b.environment"] == {"LEVEL": "2"}
    assert "hunter22" not in text_of(draft)


def test_file_that_would_override_the_variable_of_another_program_is_not_referenced(tmp_path: Path) -> None:
    file = tmp_path / "shop.env"
    file.write_text("LEVEL=2\nBOTH=1\n")
    programs = [existing("a", environment={"LEVEL": "1"}), existing("b", environment_files=(file,))]
    draft = taken(programs)
    assert draft.secrets == {"BOTH": "1"}
    levels = [draft.tables[f"worker.{name}.environment"]["LEVEL"] for name in "ab"]
    assert (levels, draft.get("project", "environment_file")) == (["1", "2"], None)


def test_last_of_several_files_of_one_program_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one.env", tmp_path / "two.env"
    one.write_text("LEVEL=1\n")
    two.write_text("LEVEL=2\n")
    assert taken([existing("a", environment_files=(one, two))]).secrets == {"LEVEL": "2"}


def test_file_of_exports_is_copied_because_no_environment_file_has_exports(tmp_path: Path) -> None:
    file = tmp_path / "postactivate"
    file.write_text("#!/bin/sh\nexport API_TOKEN='hunter22'\nexport HERE=$(pwd)\nexport DJANGO_SETTINGS_MODULE=a.b\n")
    draft = taken([existing("a", environment_files=(file,))])
    assert draft.secrets == {"API_TOKEN": "hunter22"}
    assert draft.text("project", "settings") == "a.b"
    assert remarks(draft)["line 3"].place == f"{file}:3"
    assert remarks(draft)["line 3"].doubtful


def test_missing_file_of_variables_is_not_named(tmp_path: Path) -> None:
    file = tmp_path / "missing.env"
    draft = taken([existing("a", environment_files=(file,))])
    assert draft.get("project", "environment_file") is None
    assert "it does not exist" in remarks(draft)[f"variables of {file}"].consequence
