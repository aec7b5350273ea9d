"""The programs to import are chosen, the rest is reported once, and an import of nothing is an error."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.errors import ProcmanError
from procman.init.importing.existing import Existing, Reading, Remark
from procman.init.importing.remarks import joined
from procman.init.importing.select import belongs_to, selection
from procman.sources import PROCFILE, SYSTEMD, Source
from tests.init.importing.programs import FILE, WORKER, existing

WEB = existing("web", "/srv/env/bin/gunicorn shop.wsgi")
LOST = replace(existing("lost", "flock -n x celery -A shop worker"), command=None, problem="flock is not understood")


def reading(*programs: Existing, remarks: tuple[Remark, ...] = ()) -> Reading:
    return Reading(programs, remarks, (FILE,))


def test_programs_that_are_not_understood_are_named() -> None:
    found = selection([reading(existing("w"), WEB, LOST)], None, ())
    assert [[each.name for each in programs] for programs in found.projects] == [["w"]]
    by_what = {each.what: each for each in found.remarks}
    assert by_what["[program:lost]"].consequence == "starts Celery, but is not imported: flock is not understood"
    assert by_what["[program:lost]"].doubtful
    assert by_what["[program:web]"].consequence == (
        "no Celery worker or beat; procman leaves it alone, and could run it as a [command.NAME]"
    )
    assert not by_what["[program:web]"].doubtful


def test_programs_of_an_account_are_those_of_its_own_procfile_and_user_units(tmp_path: Path) -> None:
    file = tmp_path / "Procfile"
    file.touch()
    unit = tmp_path / ".config/systemd/user/worker.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    of_procfile = existing("w", file=file, source=Source(PROCFILE, str(file), "w"))
    of_user = existing("u", file=unit, source=Source(SYSTEMD, "worker.service"))
    own = selection([reading(of_procfile, of_user)], None, ())
    me = file.stat().st_uid
    assert (belongs_to(own, me), belongs_to(own, me + 1)) == (True, False)
    gone = replace(of_procfile, file=tmp_path / "gone")
    for other in (existing("s", file=file), gone):
        assert not belongs_to(selection([reading(of_procfile, other)], None, ()), me)


def test_many_programs_without_celery_are_one_remark() -> None:
    others = [existing(f"web{number}", "gunicorn") for number in range(30)]
    [remark] = selection([reading(existing("w"), *others)], None, ()).remarks
    assert remark.what.endswith("[program:web4] and 25 more")


def test_program_that_two_files_lead_to_is_imported_once() -> None:
    found = selection([reading(existing("w")), reading(existing("w"))], None, ())
    assert [len(programs) for programs in found.projects] == [1]


def test_import_of_nothing_is_an_error_with_what_was_seen() -> None:
    empty = Reading(files=(Path("/etc/empty.conf"),))
    doubt = Remark("/srv/run.sh:3", "`$(nproc)`", "needs a shell", doubtful=True)
    with pytest.raises(ProcmanError) as caught:
        selection([reading(WEB, replace(LOST, remarks=(doubt,))), empty], None, ())
    assert caught.value.exit_status == 1
    assert caught.value.message.splitlines() == [
        "nothing was imported, and nothing was written:",
        f"{FILE}:1: [program:lost] starts Celery, but is not imported: flock is not understood",
        "/srv/run.sh:3: `$(nproc)`: needs a shell",
        f"{FILE}: [program:web]: no Celery worker or beat",
        "/etc/empty.conf: no program is defined in it",
    ]


def test_many_files_without_celery_are_counted() -> None:
    with pytest.raises(ProcmanError) as caught:
        selection([Reading(files=tuple(Path(f"/etc/{number}.conf") for number in range(30)))], None, ())
    assert caught.value.message.splitlines()[-1] == "and 10 more files without a Celery worker or beat"


def test_equal_remarks_are_joined_and_decisions_come_first() -> None:
    remarks = [
        Remark("a:1", "--pidfile", "useless"),
        Remark("a:2", "stopsignal = QUIT", "procman sends TERM", changed=True),
        Remark("b:1", "--pidfile", "useless"),
        Remark("b:2", "amqp://me:hunter22@host//", "why?", doubtful=True),
    ]
    found = joined(remarks)
    assert [(each.remark.place, each.programs) for each in found] == [("b:2", 1), ("a:2", 1), ("a:1", 2)]
    assert "hunter22" not in repr(found)


def test_file_of_variables_decides_the_project(tmp_path: Path) -> None:
    lms, cms = tmp_path / "lms.env", tmp_path / "cms.env"
    lms.write_text("DJANGO_SETTINGS_MODULE=lms.settings\n")
    cms.write_text("DJANGO_SETTINGS_MODULE=cms.settings\n")
    programs = [existing(name, WORKER, environment_files=(file,)) for name, file in (("a", lms), ("b", cms))]
    assert len(selection([reading(*programs)], None, ()).projects) == 2


def test_processes_of_one_program_are_all_imported() -> None:
    one = existing("w")
    programs = [replace(one, name=f"w_{number}") for number in range(2)]
    assert [len(each) for each in selection([reading(*programs)], None, ()).projects] == [2]


@pytest.mark.parametrize(
    "line",
    [
        "shop-server celery worker",
        "strange celery --x multi start a",
        "x celery.sh beat",
        "sh -c '${CELERY_BIN} -A $CELERY_APP multi start'",
        "celeryd -A shop -c 2",
        "python manage.py run_celery_worker",
        "python celery_beat.py",
    ],
)
def test_program_whose_words_name_celery_is_never_left_alone(line: str) -> None:
    strange = replace(existing("strange", line), command=None)
    [remark] = selection([reading(existing("w"), strange)], None, ()).remarks
    assert remark.doubtful
    assert remark.consequence == "may start Celery, but is not imported: its command line is not understood"


@pytest.mark.parametrize("line", ["celery flower", "celery-exporter --broker-url=x", "gunicorn shop.celery_workers:x"])
def test_other_program_is_left_alone(line: str) -> None:
    strange = replace(existing("strange", line), command=None)
    [remark] = selection([reading(existing("w"), strange)], None, ()).remarks
    assert "no Celery worker or beat" in remark.consequence


def test_script_of_another_host_is_named() -> None:
    strange = existing("strange", "/nonexistent/run.sh --app=shop.celery:app worker")
    [remark] = selection([reading(existing("w"), strange)], None, ()).remarks
    assert remark.consequence.endswith("not imported: there is no /nonexistent/run.sh on this host")


def test_label_that_names_the_file_is_shortened_beside_it() -> None:
    web = replace(WEB, label=f"web of {FILE}")
    [remark] = selection([reading(existing("w"), web)], None, ()).remarks
    assert (remark.place, remark.what) == (str(FILE), "web")


def test_number_of_projects_is_limited() -> None:
    programs = [existing(f"w{number}", environment={"API_TOKEN": f"hidden{number}"}) for number in range(21)]
    with pytest.raises(ProcmanError, match="would become 21 projects, more than 20"):
        selection([reading(*programs)], None, ())
    assert len(selection([reading(*programs[:20])], None, ()).projects) == 20
