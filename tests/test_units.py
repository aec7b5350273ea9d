"""units/ holds the files that procman renders, and an administrator can use them without procman."""

from __future__ import annotations

import glob
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.read_by_supervisor import MAIN_SECTIONS, VERSIONS, reader
from tests.render_units import DEPLOYMENTS, UNITS, agent_files, project, rendering, unit_files

README = (UNITS / "README.md").read_text(encoding="utf-8")
AGENT = UNITS.parent / "procman" / "agent"
SUPERVISOR = UNITS / "supervisor"
SCRIPTS = sorted(SUPERVISOR.rglob("*.sh"))
MEND = "units/ is not what procman renders: `make units`, and look at the difference"

SHELLS = [name for name in ("sh", "dash", "bash", "mksh", "busybox") if shutil.which(name)]


def _files(directory: Path) -> Iterator[Path]:
    yield from (path for path in directory.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_files_match_the_rendering(deployment: str) -> None:
    desired = unit_files(deployment)
    assert sorted(_files(UNITS / deployment)) == sorted(desired), MEND
    for path, file in desired.items():
        assert path.read_bytes() == file.content.encode(), f"{path}: {MEND}"
        # git records only this part of a mode.
        assert bool(path.stat().st_mode & 0o100) == bool(file.mode & 0o100), f"{path}: {MEND}"
    assert {file.path.name: file.content.encode() for file in agent_files(deployment)} == {
        path.name: path.read_bytes() for path in AGENT.glob("*.py") if path.name != "__init__.py"
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_supervisord_reads_the_sections(version: str, tmp_path: Path) -> None:
    text = "".join(path.read_text() for path in sorted((SUPERVISOR / "etc/supervisor/conf.d").iterdir()))
    with reader(version) as supervisor:
        # supervisord refuses a log in a missing directory.
        answer = supervisor.read(text.replace("/var/log/catmaid", str(tmp_path)))
    assert sorted(answer["sections"]) == sorted(
        [*MAIN_SECTIONS, "program:catmaid-celery", "program:catmaid-celery-beat"]
    )
    assert {program["argv"][0] for program in answer["programs"].values()} == {
        f"/{script.relative_to(SUPERVISOR)}" for script in SCRIPTS
    }


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shells_parse_the_start_scripts(shell: str, script: Path) -> None:
    words = [shell, "sh"] if shell == "busybox" else [shell]
    subprocess.run([*words, "-n", script], check=True)


def test_readme_names_every_directory_with_its_owner() -> None:
    makes = [line.split() for line in README.splitlines() if line.startswith("install -d")]
    made = {(path, words[words.index("-o") + 1], words[words.index("-m") + 1]) for words in makes for path in words[8:]}
    desired = {
        (str(directory.path), directory.owner, f"{directory.mode:o}")
        for directory in rendering("supervisor").directories
    }
    # Parents that `install -d` creates for root.
    on_the_way = {each for each in desired - made if any(path.startswith(f"{each[0]}/") for path, _, _ in made)}
    assert desired - on_the_way == made
    assert {each[1:] for each in on_the_way} <= {("root", "755")}


def test_readme_copies_every_file_with_its_mode() -> None:
    copies = [line.split() for line in README.splitlines() if line.startswith("install -m")]
    found = {}
    for _, _, mode, *sources, target in copies:
        for pattern in sources:
            for source in glob.glob(pattern, root_dir=SUPERVISOR):  # noqa: PTH207 - knows `..`, as a shell does
                found[Path(target) / Path(source).name] = int(mode, 8)
    assert found == {file.path: file.mode for file in rendering("supervisor").files}


def test_readme_names_the_programs() -> None:
    names = " ".join(program.name for program in project("supervisor").programs)
    assert f"supervisorctl add {names}" in README
    assert "supervisorctl restart catmaid-celery" in README
