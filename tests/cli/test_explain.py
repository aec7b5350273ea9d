"""`procman explain` prints pages and sections of checks, completes their names, and suggests what was meant."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from procman.cli.main import run

PROCMAN = [sys.executable, "-m", "procman"]
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["PM301", "pm301", "301"])
def test_a_code_is_found_however_it_is_written(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith("PM301: ")
    assert "PM302" not in out.splitlines()[-1]


@pytest.mark.parametrize("name", ["systemd", "Systemd", "systemd.md", "docs/systemd.md"])
def test_a_page_is_found_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", name]) == 0
    title = (DOCS / "systemd.md").read_text().splitlines()[0].lstrip("# ")
    assert capsys.readouterr().out.startswith(f"{title}\n{'=' * len(title)}\n")


def test_the_life_of_a_stop_fits_a_terminal_of_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["explain", "stopping"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    figure = out.partition("what becomes of the tasks")[2].partition("- Return.")[0]
    moments = ["TERM", "return", "drain", "handback", "SIGKILL"]
    assert [word for word in figure.split() if word in moments] == moments


def test_several_names_are_printed_in_their_order_and_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "PM302", "PM301", "pm302"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("PM30")] == ["PM302", "PM301"]


def test_without_a_name_every_page_is_listed_and_a_code_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain"]) == 0
    out = capsys.readouterr().out
    assert {path.stem for path in DOCS.glob("*.md")} <= {line.split()[0] for line in out.splitlines() if line}
    assert "procman explain PM301" in out


def test_unknown_names_are_reported_together_with_what_may_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "sytemd", "PM301", "nonsense"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "procman: no page or check sytemd; did you mean systemd?\n"
        "procman: no page or check nonsense\n"
        "  `procman explain` lists the pages, `procman explain checks` every code\n"
    )


@pytest.mark.parametrize(
    ("word", "completed"),
    [("PM30", "PM301"), ("pm30", "pm301"), ("stopp", "stopping"), ("Stopp", "Stopping")],
)
def test_completion_offers_codes_and_pages(word: str, completed: str) -> None:
    environment = os.environ | {
        "_PROCMAN_COMPLETE": "bash_complete",
        "COMP_WORDS": f"procman explain {word}",
        "COMP_CWORD": "2",
    }
    completing = "from procman.cli.main import procman; procman(prog_name='procman')"
    done = subprocess.run([sys.executable, "-c", completing], env=environment, capture_output=True, text=True)
    assert f"plain,{completed}" in done.stdout.splitlines()


def test_explain_needs_no_project_and_imports_nothing_heavy(tmp_path: Path) -> None:
    telling = "import sys; from procman.cli.main import run; run(['explain', 'systemd', '301']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", telling], cwd=tmp_path, capture_output=True, text=True, check=True)
    heavy = {"jinja2", "psutil", "supervisor", "tomli", "tomllib", "procman.model", "procman.monitoring"}
    assert not set(done.stdout.splitlines()[-1].split()) & heavy


def on_a_terminal(*names: str, pager: str = "sh -c 'echo PAGER; head -1'") -> str:
    """Return what a terminal of 24 lines shows; the usual pager prints only the first line after a mark."""
    environment = os.environ | {"PAGER": pager, "COLUMNS": "60", "LINES": "24", "TERM": "dumb"}
    master, slave = pty.openpty()
    with subprocess.Popen([*PROCMAN, "explain", *names], stdin=slave, stdout=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        try:
            while part := os.read(master, 65536):
                shown += part
        except OSError:  # the end, as Linux reports it of a terminal
            pass
    os.close(master)
    assert process.returncode == 0
    return shown.decode().replace("\r\n", "\n")


def test_a_long_page_goes_through_the_pager_and_a_code_does_not() -> None:
    title = (DOCS / "systemd.md").read_text().splitlines()[0].lstrip("# ")
    assert on_a_terminal("systemd") == f"PAGER\n{title}\n"
    shown = on_a_terminal("PM301", "PM302", "PM303", "PM304", "PM401", "PM402", "PM403", "PM501")
    assert shown.startswith("PM301: ")
    assert "\nPM501: " in shown


@pytest.mark.parametrize("pager", ["no-such-pager", "less '"])
def test_a_page_is_printed_if_the_pager_cannot_be_started(pager: str) -> None:
    assert "systemd" in on_a_terminal("systemd", pager=pager)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("1", "no check 1; a code has three digits, as in PM301"),
        ("PM3011", "no check PM3011; a code has three digits, as in PM301"),
        ("777", "no check 777; did you mean PM775?"),
    ],
)
def test_code_that_does_not_exist_suggests_one_of_its_hundred(
    name: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", name]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"procman: {answer}"
