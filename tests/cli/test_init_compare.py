"""`procman init --compare` on the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from procman.cli.main import run

SECRET = "c2VjcmV0LXg5"
OLD = """\
[program:shop-celery]
command = /srv/env/bin/celery -A shop worker -l info -Q orders -n shop@%%h
directory = /srv/shop
user = www-data
autorestart = true
stopwaitsecs = 600
environment = DJANGO_SETTINGS_MODULE="shop.settings",API_TOKEN="c2VjcmV0LXg5"
"""


WRITE = ["init", "--from", "shop.conf", "--name", "shop", "--output", "procman.toml"]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file with an existing program; the working directory is beside it."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "shop.conf"
    file.write_text(OLD)
    return file


def compare(*words: str) -> int:
    return run([*WRITE, "--compare", *words])


def test_nothing_is_written(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare() == 0
    shown = capsys.readouterr().out
    assert "compared with procman.toml, as init would write it\n" in shown
    assert "different for a known reason\n" in shown
    assert "shop-celery for [program:shop-celery]" in shown
    assert sorted(path.name for path in old.parent.iterdir()) == ["shop.conf"]


def test_the_file_that_exists_is_compared_unless_it_would_be_overwritten(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(WRITE) == 0
    assert compare() == 0
    assert "compared with procman.toml\n" in capsys.readouterr().out
    file = old.with_name("procman.toml")
    file.write_text(re.sub(r'queues = \["orders"\]', 'queues = ["other"]', file.read_text()))
    assert compare() == 1
    assert "  ! --queues: orders -> other (no known reason)\n" in capsys.readouterr().out
    assert compare("--force") == 0
    assert 'queues = ["other"]' in file.read_text()


def test_secrets_are_compared_and_never_shown(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(WRITE) == 0
    assert compare("-v") == 0
    equal = capsys.readouterr()
    assert "  = API_TOKEN: ***\n" in equal.out
    old.with_name("procman.env").write_text("API_TOKEN=b3RoZXItdmFsdWU5\n")
    assert compare("-v") == 1
    different = capsys.readouterr()
    assert "  ! API_TOKEN: *** -> *** (no known reason)\n" in different.out
    assert not [each for each in (SECRET, "b3RoZXI") if each in "".join((*equal, *different))]


def test_a_variable_that_procman_refuses_is_a_difference_with_its_reason(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = old.with_name("celery.env")
    file.write_text("A=1\nCELERY_WORKER_DETACH=1\n")
    unit = old.with_name("shop.service")
    start = "ExecStart=/srv/env/bin/celery -A shop worker\nWorkingDirectory=/srv/shop\nUser=www-data"
    unit.write_text(f"[Service]\n{start}\nEnvironment=C_FORCE_ROOT=1\nEnvironmentFile={file}\n")
    assert run(["init", "--from", "shop.service", "--name", "shop", "--compare"]) == 0
    shown = capsys.readouterr().out
    assert "  ~ CELERY_WORKER_DETACH: *** -> not set (" in shown
    assert "  ~ C_FORCE_ROOT: 1 -> not set (" in shown


def test_json_is_a_document(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare("--json") == 0
    [project] = json.loads(capsys.readouterr().out)["projects"]
    assert project["written"] is False
    assert [program["program"] for program in project["programs"]] == ["shop-celery"]


def test_a_program_that_cannot_be_imported_is_no_equivalence(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = old.with_name("run.sh")
    script.write_text("#!/bin/sh\nexec $(which celery) -A shop worker\n")
    old.write_text(f"{OLD}\n[program:odd]\ncommand = {script}\n")
    assert compare() == 1
    assert "[program:odd] of" in capsys.readouterr().out


def test_a_missing_value_is_named(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old.write_text(OLD.replace("/srv/env/bin/celery", "celery"))
    assert compare() == 1
    shown = capsys.readouterr().err
    assert "values are missing" in shown
    assert "project.virtualenv: " in shown


def test_the_file_may_be_given_by_config_as_for_other_commands(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, words = ["--config", "other.toml"], ["--from", "shop.conf", "--name", "shop"]
    assert run([*given, "init", *words, "--compare"]) == 2
    assert "--config other.toml: no such file" in capsys.readouterr().err
    assert run(["init", *words, "--output", "other.toml"]) == 0
    assert run([*given, "init", *words, "--compare"]) == 0
    assert "compared with other.toml\n" in capsys.readouterr().out
    assert run([*given, "init", *words, "--compare", "--output", "x.toml"]) == 2


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--compare"], "--compare needs at least one --from PATH."),
        (["-v"], "--verbose needs --compare."),
        (["--json"], "--json needs --compare."),
    ],
)
def test_wrong_usage(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", *words]) == 2
    assert problem in capsys.readouterr().err
