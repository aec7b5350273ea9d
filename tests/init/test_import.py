"""`procman init --from` as a whole command: the files it writes, what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from procman.cli.complete import project_names
from procman.cli.init import init
from procman.config.load import load
from procman.errors import ProcmanError
from procman.init.importing.existing import Remark
from procman.init.importing.remarks import JoinedRemark
from procman.init.init import InitReport, NewProject
from procman.model import Scope
from procman.output.init_report import report_lines
from procman.project import Project

SHOP = """\
[program:{name}]
command = /srv/env/bin/celery -A {app} worker -Q {name}
directory = /srv/shop
user = nobody
stopwaitsecs = 900
"""


def run(directory: Path, *words: str) -> Result:
    (directory / "empty").mkdir(exist_ok=True)
    words = (*words, "--output", str(directory / "procman.toml"), str(directory / "empty"))
    return CliRunner().invoke(init, words)


def loaded(path: Path) -> Project:
    return load(path, {})


def place(directory: Path, name: str, app: str = "shop", more: str = "") -> Path:
    file = directory / f"{name}.conf"
    file.write_text(SHOP.format(name=name, app=app) + more)
    return file


def test_several_files_become_one_project(tmp_path: Path) -> None:
    files = [place(tmp_path, name) for name in ("shop_a", "shop_b")]
    done = run(tmp_path, *(word for file in files for word in ("--from", str(file))))
    assert done.exit_code == 0
    project = loaded(tmp_path / "procman.toml")
    assert (project.name, [each.name for each in project.programs]) == ("shop", ["shop-a", "shop-b"])
    assert [each.adopts for each in project.programs] == [(f"supervisor:{each}:{each.stem}",) for each in files]
    assert "adopts 2 existing programs" in done.stderr
    assert "--replace" not in done.stderr
    assert "with --compare shows every value that changes; see `procman explain import`" in done.stderr


def test_second_app_becomes_a_second_file_with_its_own_secrets(tmp_path: Path) -> None:
    place(tmp_path, "lms_high", "lms", 'environment = API_TOKEN="hunter21"\n')
    place(tmp_path, "lms_low", "lms")
    place(tmp_path, "cms_high", "cms", 'environment = API_TOKEN="hunter22"\n')
    done = run(tmp_path, "--from", f"{tmp_path}/*.conf")
    assert done.exit_code == 0, done.exception
    lms, cms = loaded(tmp_path / "procman.toml"), loaded(tmp_path / "procman-cms.toml")
    assert (lms.name, lms.app, len(lms.programs)) == ("lms", "lms", 2)
    assert (cms.name, cms.app, [each.name for each in cms.programs]) == ("cms", "cms", ["cms-high"])
    assert (lms.environment_file, cms.environment_file) == (tmp_path / "procman.env", tmp_path / "procman-cms.env")
    assert "hunter22" in (tmp_path / "procman-cms.env").read_text()
    assert "hunter22" not in (tmp_path / "procman.env").read_text() + done.stderr
    assert f"{tmp_path}/procman-cms.toml: project cms" in done.stderr
    # A note about both is printed once.
    assert done.stderr.count("no supervisord.conf that includes") == 2, "one for each file"
    assert done.stderr.count("the programs have to read it too") == 1
    assert f"procman --config {tmp_path}/procman-cms.toml install --wait 60" in done.stderr


@pytest.mark.parametrize("there", ["procman.toml", "procman-cms.toml"])
def test_existing_file_is_kept_and_nothing_is_written(tmp_path: Path, there: str) -> None:
    place(tmp_path, "lms_high", "lms")
    place(tmp_path, "lms_low", "lms")
    place(tmp_path, "cms_high", "cms")
    (tmp_path / there).write_text("# mine\n")
    done = run(tmp_path, "--from", f"{tmp_path}/*.conf")
    assert isinstance(done.exception, ProcmanError)
    assert [path.name for path in tmp_path.glob("*.toml")] == [there]


@pytest.mark.root("about root")
def test_each_project_of_root_has_a_directory_of_its_own_in_etc(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, app in (("lms_high", "lms"), ("cms_high", "cms")):
        place(tmp_path, name, app)
    (home / "etc").mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(init, ["--from", f"{tmp_path}/*.conf", "empty"])
    assert done.exit_code == 0, done.stderr
    paths = {name: home / "etc" / "procman" / name / "procman.toml" for name in ("lms", "shop")}
    assert [loaded(path).name for path in paths.values()] == list(paths)
    assert all(f"procman --config {path} install --wait 60" in done.stderr for path in paths.values())
    assert completed_projects() == ["lms", "shop"]


def completed_projects() -> list[str]:
    context = click.Context(click.Command("status"))
    return [each.value for each in project_names(context, click.Argument(["name"]), "")]


def test_second_project_needs_a_file(tmp_path: Path) -> None:
    place(tmp_path, "lms", "lms")
    place(tmp_path, "cms", "cms")
    done = CliRunner().invoke(init, ["--from", f"{tmp_path}/*.conf", "--output", "-", str(tmp_path)])
    assert isinstance(done.exception, ProcmanError)
    assert "found 2 projects, which need a file each" in str(done.exception)
    assert done.stdout == ""


def test_import_that_understands_nothing_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "web.conf"
    file.write_text("[program:web]\ncommand = /bin/web\n")
    done = run(tmp_path, "--from", str(file))
    assert isinstance(done.exception, ProcmanError)
    assert done.exception.exit_status == 1
    assert f"{file}: [program:web]: no Celery worker or beat" in str(done.exception)
    assert not list(tmp_path.glob("*.toml"))


OURS = "; Written by procman for shop: change procman.toml and run `procman install`.\n"


def test_programs_of_procman_are_not_imported_again(tmp_path: Path) -> None:
    place(tmp_path, "shop_old")
    new = place(tmp_path, "shop_new")
    new.write_text(OURS + new.read_text())
    done = run(tmp_path, "--from", f"{tmp_path}/*.conf", "--force")
    assert [each.name for each in loaded(tmp_path / "procman.toml").programs] == ["shop-old"]
    assert f"not imported: {new}: [program:shop_new]: procman runs it already" in done.stderr
    alone = run(tmp_path, "--from", str(new))
    assert f"{new}: [program:shop_new]: procman runs it already" in str(alone.exception)


def test_new_names_are_right_although_the_project_is_named_late(tmp_path: Path) -> None:
    done = run(tmp_path, "--from", str(place(tmp_path, "legacy")))
    assert "[program:legacy] becomes [worker.legacy]   (its new name is shop-legacy)" in done.stderr
    assert loaded(tmp_path / "procman.toml").programs[0].name == "shop-legacy"


def test_parts_near_the_working_directory_are_not_those_of_an_import_without_a_directory(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    file = tmp_path / "old.conf"
    file.write_text("[program:worker]\ncommand = celery -A shop.celery worker\nuser = nobody\n")
    done = run(tmp_path, "--from", str(file))
    text = (tmp_path / "procman.toml").read_text()
    assert "# FILL IN: not found\n# virtualenv" in text
    assert 'name = "shop"' in text
    assert "fill in project.directory" in done.stderr


def test_nothing_is_reported_twice(tmp_path: Path) -> None:
    for number in range(11):
        place(tmp_path, f"shop_{number}", more="killasgroup = false\nstopsignal = QUIT\nredirect_stderr = false\n")
    done = run(tmp_path, "--from", f"{tmp_path}/*.conf")
    remarks = [line for line in done.stderr.splitlines() if line.startswith(("note:", "changed:", "not imported:"))]
    assert len(remarks) < 12
    assert sum("(11 programs)" in line for line in remarks) == 2


@pytest.mark.parametrize("width", [60, 120])
def test_report_fits_the_terminal(width: int) -> None:
    place = "/etc/supervisor/conf.d/celery.conf:12"
    remark = Remark(place, "stopsignal = INT", "procman sends TERM, on which Celery finishes its running tasks too")
    decision = Remark(place, "--concurency", "Celery has no option --concurency; did you mean it?", doubtful=True)
    project = NewProject(
        None, "shop", (), "", ("project.user: unknown; often the user of the web server",), ("a " * 80,)
    )
    report = InitReport((project,), Scope.SYSTEM, (JoinedRemark(decision), JoinedRemark(remark, 11)))
    lines = list(report_lines(report, width))
    assert max(map(len, lines)) <= width
    text = " ".join(line.strip() for line in lines)
    assert text.index("fill in") < text.index("note:") < text.index("--concurency") < text.index("not imported:")
    assert "(11 programs)" in text


def test_projects_without_a_file_are_named() -> None:
    projects = tuple(NewProject(None, name, (), "", (), ()) for name in ("shop", "cms"))
    assert list(report_lines(InitReport(projects, Scope.SYSTEM), None)) == ["project shop", "project cms"]
