"""`procman check` on the command line: text, JSON, colours and exit statuses."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from procman.cli.main import run
from procman.config.load import load
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import write_pending
from procman.install.state.manifest import Pending
from procman.lint.lint import lint
from procman.model import Level, Result
from procman.output import check as output
from procman.preflight import check as preflight
from tests.lint.valid_files import VALID_SECTION

ROOT = Path(__file__).parents[2]
install = import_module("procman.cli.install")

SECTION = "[program:celery]\ncommand=celery -A proj worker\nuser=me\nstopasgroup=true\nstopwaitsecs=600\n"

TOML = """
[project]
name = "site"
app = "site1"
directory = "."
virtualenv = "nowhere"
scope = "user"
[worker.celery]
[supervisor]
mode = "embedded"
"""


def test_lint_names_file_and_line_and_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(SECTION)
    assert run(["check", "--lint", str(file)]) == 1
    shown = capsys.readouterr().out
    assert f"{file}:4: CRITICAL PM901 [program:celery] stopasgroup\n" in shown
    assert "-> stopasgroup=false" in shown
    assert re.fullmatch(r"See `procman explain PM901( PM9\d\d)+` for causes and remedies", shown.splitlines()[-1])
    assert "\x1b" not in shown


def test_lint_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(SECTION)
    assert run(["check", "--json", "--lint", str(file)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    [worst] = [each for each in document["findings"] if each["level"] == "CRITICAL"]
    assert (worst["code"], worst["file"], worst["line"], worst["option"]) == ("PM901", str(file), 4, "stopasgroup")
    assert set(worst) == {"code", "level", "file", "line", "program", "option", "why", "remedy", "accepted", "reason"}
    assert document["programs"] == [{"name": "program:celery", "kind": "worker", "file": str(file), "line": 2}]
    assert (document["others"], document["files"]) == ([], [str(file)])


def test_lint_counts_the_warnings_that_procman_toml_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(SECTION)
    configuration = tmp_path / "procman.toml"
    configuration.write_text(TOML.replace("[worker", 'accept = ["PM907", "PM909"]\n[worker', 1))
    assert run(["--config", str(configuration), "check", "--lint", str(file)]) == 1
    shown = capsys.readouterr().out
    assert "PM901" in shown
    assert " WARNING PM909 " not in shown
    assert "2 accepted warnings: PM907, PM909" in shown.splitlines()
    assert run(["--config", str(configuration), "check", "--lint", "-v", str(file)]) == 1
    assert " ACCEPTED PM909 " in capsys.readouterr().out


def test_lint_of_a_valid_file_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "site.conf"
    file.write_text(VALID_SECTION + "[program:web]\ncommand=/usr/bin/web\n")
    assert run(["check", "--lint", str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "workers: program:site-worker",
        "not Celery, searched only for secrets: program:web",
        "no problems found",
    ]


@pytest.mark.parametrize(("text", "status"), [("", 2), ("[inet_http_server]\nport=127.0.0.1:9001\n", 1)])
def test_lint_that_recognises_no_celery_program_exits_with_2_unless_something_is_critical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, status: int
) -> None:
    file = tmp_path / "site.conf"
    file.write_text(text + "[program:web]\ncommand=/usr/bin/web\n")
    assert run(["check", "--lint", str(file)]) == status
    shown, error = capsys.readouterr()
    assert shown.startswith("not Celery" if status == 2 else str(file))
    assert "not Celery, searched only for secrets: program:web\n" in shown
    assert "no Celery program recognised" not in shown
    assert (f"no Celery program recognised in {file}" in error) == (status == 2)
    assert "subdirectories" not in error


def test_lint_of_a_directory_without_celery_reports_that_subdirectories_are_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/site.conf").write_text(SECTION)
    assert run(["check", "--lint", str(tmp_path)]) == 2
    assert "The subdirectories of a directory are not read." in " ".join(capsys.readouterr().err.split())


def test_lint_counts_the_findings_that_comments_ignore_and_shows_their_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(
        f"{VALID_SECTION}; procman: ignore PM944 because the group is typed\n[group:a]\nprograms=site-worker\n"
    )
    assert run(["check", "--lint", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "[group:a]" not in shown
    assert "1 finding ignored by comments: PM944" in shown.splitlines()
    assert run(["check", "--lint", "-v", str(file)]) == 0
    assert "    ignored because the group is typed\n" in capsys.readouterr().out


def test_lint_of_a_missing_file_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--lint", str(tmp_path / "none.conf")]) == 2
    assert "none.conf does not exist" in capsys.readouterr().err


def test_lint_reports_the_findings_beside_a_file_that_cannot_be_read_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "celery.conf", tmp_path / "none.conf"
    file.write_text(SECTION)
    assert run(["check", "--lint", str(file), str(other)]) == 2
    shown, error = capsys.readouterr()
    assert f"{file}:4: CRITICAL PM901" in shown
    assert f"{other} does not exist" in error
    file.write_text(VALID_SECTION)
    assert run(["check", "--lint", str(file), str(other)]) == 2
    assert "no problems found" not in capsys.readouterr().out
    assert run(["check", "--json", "--lint", str(file), str(other)]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == [str(file)]
    assert [each.partition(":")[0] for each in document["problems"]] == [f"{other} does not exist"]


@pytest.mark.parametrize("words", [["--lint"], ["celery.conf"]])
def test_file_needs_lint_and_lint_needs_a_file(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", *words]) == 2
    assert "lint" in capsys.readouterr().err


def test_control_characters_of_a_file_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "celery.conf"
    file.write_text(SECTION.replace("program:celery", "program:\x1b[31mcelery"))
    run(["check", "--lint", str(file)])
    assert "\x1b" not in capsys.readouterr().out


def test_check_of_a_project_that_cannot_run_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "procman.toml"
    file.write_text(TOML.replace('"."', '"no-such-directory"'))
    assert run(["--config", str(file), "check"]) == 1
    shown = capsys.readouterr().out
    assert "CRITICAL" in shown
    assert "PM7" in shown
    assert " OK " not in shown
    assert run(["--config", str(file), "check", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["project"]) == (1, "site")
    assert {each["level"] for each in document["results"]} >= {"OK", "CRITICAL"}


@pytest.mark.parametrize("is_uninstall", [False, True])
def test_next_step_is_no_install_after_an_interrupted_uninstall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_uninstall: bool
) -> None:
    file = tmp_path / "procman.toml"
    file.write_text(TOML)
    monkeypatch.setattr(preflight, "check", lambda *_, **__: [RESULTS[0]])
    state = load(file, dict(os.environ)).directories.state
    state.mkdir(parents=True, exist_ok=True)
    with Tree() as tree:
        write_pending(tree, state, Pending(1, (1,), (), uninstall=is_uninstall))
    assert run(["--config", str(file), "check"]) == 0
    shown = capsys.readouterr().err
    completes = f"an uninstall of site was interrupted: procman --config {file} uninstall completes it; "
    assert (completes in shown, "install --dry-run" in shown) == (is_uninstall, not is_uninstall)


def test_check_of_a_wrong_configuration_exits_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "procman.toml"
    file.write_text(TOML.replace("site1", "not an app"))
    assert run(["--config", str(file), "check"]) == 2
    assert "project.app" in capsys.readouterr().err


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


RESULTS = (
    Result("PM701", None, Level.OK, "Python 3.11"),
    Result("PM731", "site-celery", Level.CRITICAL, "two\nlines", "fix\nit"),
    Result("PM761", "site-celery", Level.WARNING, "short"),
)


def test_results_are_listed_by_program_without_those_that_are_ok() -> None:
    lines = list(output.as_text(RESULTS, verbose=False, stream=io.StringIO()))
    assert lines[0] == "site-celery"
    assert lines[1].split() == ["CRITICAL", "PM731", "two"]
    assert [line.strip() for line in lines[2:5]] == ["lines", "-> fix", "it"]
    assert lines[-2:] == [
        "1 CRITICAL, 1 WARNING, 1 OK",
        "See `procman explain PM731 PM761` for causes and remedies",
    ]
    assert next(output.as_text(RESULTS, verbose=True, stream=io.StringIO())) == "project"


def test_only_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" in "".join(output.as_text(RESULTS, verbose=False, stream=Terminal()))
    assert "\x1b" not in "".join(output.as_text(RESULTS, verbose=False, stream=io.StringIO()))


def test_results_are_wrapped_to_the_terminal_and_commands_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    sentence, command = " ".join(["Words and words."] * 12), "chown -hR www-data " + " ".join(["/srv/media/crops"] * 6)
    [result] = [Result("PM752", None, Level.WARNING, sentence, f"{sentence}\n{command}")]
    lines = list(output.as_text([result], verbose=False, stream=Terminal()))[1:]
    many = [Result(f"PM70{number}", None, Level.WARNING, "short") for number in range(8)]
    assert max(map(len, output.as_text(many, verbose=False, stream=Terminal()))) <= 80
    assert lines[0].startswith("  WARNING   PM752  Words and words.")
    blank = " " * len("  WARNING   PM752  ")
    assert lines[1].startswith(f"{blank}words.")
    assert [line for line in lines if len(line) > 80] == [f"{blank}   {command}"]
    piped = list(output.as_text([result], verbose=False, stream=io.StringIO()))
    assert piped[1] == f"  WARNING   PM752  {sentence}"


def test_findings_of_a_lint_are_wrapped_but_their_places_stay_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    file = tmp_path / "site.conf"
    file.write_text(VALID_SECTION.replace("autorestart=true", "autorestart=unexpected"))
    lines = list(output.lint_as_text(lint([file]), verbose=False, stream=Terminal()))
    assert lines[0] == f"{file}:6: WARNING PM907 [program:site-worker] autorestart"
    assert lines[2].startswith("    ")
    assert lines[3:5] == ["    -> autorestart=true", "workers: program:site-worker"]
    assert max(map(len, lines[1:])) <= 80


def test_install_shows_the_results_in_colours_and_not_in_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(preflight, "check", lambda _: [RESULTS[0]._replace(level=Level.WARNING, detail="\x07")])
    install._check(load(ROOT / "units" / "procman.toml", {}), command_line="procman")
    assert "\x1b[33mWARNING \x1b[0m  PM701  \\x07" in terminal.getvalue()
    assert "\\x1b" not in terminal.getvalue()


def test_check_reports_a_file_that_could_not_be_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "procman.toml"
    templates = tmp_path / "templates"
    (templates / "supervisor").mkdir(parents=True)
    (templates / "supervisor" / "program.conf.j2").write_text("[program:{{ program.name }}\n")
    file.write_text(TOML.replace("[worker", f'templates = "{templates}"\n[worker'))
    assert run(["--config", str(file), "check"]) == 1
    assert "PM775" in capsys.readouterr().out


def test_result_of_several_programs_is_printed_once() -> None:
    def late(program: str) -> Result:
        return Result("PM743", program, Level.WARNING, "the timeout is short", f"[{program}] stop_timeout_seconds")

    project = Result("PM711", None, Level.WARNING, "slow")
    results = [late("a-1"), Result("PM704", "b", Level.CRITICAL, "not found"), late("a-2"), project]
    shown = list(output.as_text(results, verbose=False, stream=io.StringIO()))
    assert [line for line in shown if not line.startswith(" ")][:3] == ["project", "a-1, a-2", "b"]
    assert sum("the timeout is short" in line for line in shown) == 1
    assert any("[NAME] stop_timeout_seconds" in line for line in shown)
