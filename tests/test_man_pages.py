"""The man pages are those of today's help texts and keys, and mandoc reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from procman.cli.main import COMMANDS
from scripts.man_pages import _items, _paragraphs, _verbatim

MAN = Path(__file__).parents[1] / "man"
HEAD = ".TH X 1 2026-01-01\n.SH NAME\nx \\- y\n.SH DESCRIPTION\n"

needs_mandoc = pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not installed")


def mandoc(*options: str, text: str | None = None) -> str:
    done = subprocess.run(["mandoc", *options], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_pages_are_up_to_date(tmp_path: Path) -> None:
    # In a process of its own: Click keeps the help option that the first context of a command asked for.
    subprocess.run([sys.executable, "-m", "scripts.man_pages", tmp_path], cwd=MAN.parent, check=True)
    made, found = ({path.name: path.read_text() for path in place.iterdir()} for place in (tmp_path, MAN))
    assert found == made, "run `make docs`"
    assert set(found) == {"procman.1", "procman.toml.5", *(f"procman-{name}.1" for name in COMMANDS)}


@needs_mandoc
@pytest.mark.parametrize("name", sorted(path.name for path in MAN.iterdir()))
def test_mandoc_reads_page(name: str) -> None:
    mandoc("-T", "lint", "-W", "error", str(MAN / name))


HOSTILE = [
    ".so /etc/passwd",
    "'br",
    "\\fBbold\\fR",
    "--wait -1",
    "a\\",
    "%h $HOME `",
    "\\n[.x]",
    "\"quoted\" 'too'",
    ".x .y",
]


@needs_mandoc
@pytest.mark.parametrize("text", HOSTILE)
def test_every_character_is_shown(text: str) -> None:
    page = HEAD + "".join((*_paragraphs([text]), ".PP\n", *_verbatim([text]), *_items([(text, text)])))
    shown = mandoc("-T", "ascii", "-O", "width=200", text=page)
    assert " ".join(shown.split()).count(" ".join(text.split())) >= 4
