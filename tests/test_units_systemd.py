"""units/ under systemd: valid for systemd itself, and usable by hand as units/systemd.md describes."""

from __future__ import annotations

import glob
import subprocess
import sys
from pathlib import Path

import pytest

from procman.project import RenderedFile
from tests.render_units import HOME, UNITS, rendering

README = (UNITS / "systemd.md").read_text(encoding="utf-8")

SCOPES = {"systemd": [], "systemd-user": ["--user"]}


def units(deployment: str) -> list[RenderedFile]:
    return [file for file in rendering(deployment).files if file.section]


@pytest.mark.parametrize("deployment", SCOPES)
def test_systemd_accepts_the_units(deployment: str, tmp_path: Path) -> None:
    for unit in units(deployment):
        text = unit.content
        for virtualenv in ("/opt/catmaid/django/env", "/home/catmaid/catmaid/django/env"):
            # The commands must exist.
            text = text.replace(f"ExecStart={virtualenv}/bin/python", f"ExecStart={sys.executable}")
        (tmp_path / unit.path.name).write_text(text)
    words = ["systemd-analyze", *SCOPES[deployment], "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*words, *(unit.path.name for unit in units(deployment))],
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), **HOME},
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "catmaid" in line] == []
    assert done.returncode == 0, done.stderr


def lines(start: str) -> list[list[str]]:
    return [line.split() for line in README.splitlines() if line.startswith(start)]


def test_readme_creates_every_directory_with_its_owner() -> None:
    made = {
        (path, words[words.index("-o") + 1], words[words.index("-m") + 1])
        for words in lines("install -d")
        for path in words[8:]
    }
    desired = {(str(each.path), each.owner, f"{each.mode:o}") for each in rendering("systemd").directories}
    # Parents that `install -d` creates for root.
    on_the_way = {each for each in desired - made if any(path.startswith(f"{each[0]}/") for path, _, _ in made)}
    assert desired - on_the_way == made
    assert {each[1:] for each in on_the_way} <= {("root", "755")}


def test_readme_creates_every_directory_of_a_user() -> None:
    made = {path.replace("~", HOME["HOME"]) for words in lines("mkdir -p ~") for path in words[2:]}
    for directory in rendering("systemd-user").directories:
        assert any(path == str(directory.path) or path.startswith(f"{directory.path}/") for path in made)


@pytest.mark.parametrize("deployment", SCOPES)
def test_readme_copies_every_file(deployment: str) -> None:
    found = {}
    for _, _, mode, *sources, target in lines("install -m"):
        if target.startswith("~") == (deployment == "systemd-user"):
            for pattern in sources:
                for source in glob.glob(pattern, root_dir=UNITS / deployment):  # noqa: PTH207 - knows `..`, as a shell does
                    found[Path(target.replace("~", HOME["HOME"])) / Path(source).name] = int(mode, 8)
    assert found == {file.path: file.mode for file in rendering(deployment).files}
