"""Paths and beat's schedule as the programs' user sees them; nothing is deleted and nothing unpickled."""

from __future__ import annotations

import dbm.dumb
import json
import os
import pickle
import shelve
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from procman.probes import celery_plugins_script, path_script
from procman.probes.runner import read_answer
from tests.reachable import as_somebody, public_directory

SOURCE = "\n".join(Path(str(module.__file__)).read_text() for module in (celery_plugins_script, path_script))


def ask(python: Path, **asked: Any) -> Any:
    done = subprocess.run(
        [python, "-", "ignored", json.dumps(asked)],
        input=SOURCE,
        cwd="/",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = read_answer(done.stdout)
    assert answer, done.stderr
    return answer


def test_subcommands_of_celery_are_those_of_packages_too(python: Path, tmp_path: Path) -> None:
    virtualenv = tmp_path / "env"
    subprocess.run([python, "-m", "venv", "--without-pip", "--symlinks", virtualenv], check=True)
    [packages] = virtualenv.glob("lib/python3*/site-packages")
    (packages / "flower-2.0.1.dist-info").mkdir()
    entry_points = (
        "[console_scripts]\nrat = x:y\n\n[celery.commands]\nflower = flower.command:flower\n[other]\ncat = x:y\n"
    )
    (packages / "flower-2.0.1.dist-info" / "entry_points.txt").write_text(entry_points)
    asked = ["flower", "report", "rat", "cat", "flour"]
    assert ask(virtualenv / "bin" / "python", subcommands=asked)["unknown"] == ["rat", "cat", "flour"]
    assert ask(python, subcommands=["flower", "worker"])["unknown"] == ["flower"]


def test_name_below_a_directory_need_not_be_utf8(python: Path, tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path) + b"/caf\xe9.jpg", os.O_CREAT))
    assert ask(python, below=[str(tmp_path)])["below"][str(tmp_path)]["files"] == ["caf\\xe9.jpg"]


def test_paths_on_each_python(python: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o640)
    paths = [str(tmp_path), str(tmp_path / "file"), str(tmp_path / "no/such"), "/dev/shm"]
    found = ask(python, paths=paths, commands=[["sh", "/usr/bin:/bin"], ["no-such-command", "/usr/bin"]])
    directory, file, nothing, memory = (found["paths"][path] for path in paths)
    assert (directory["is_directory"], directory["writable"], file["mode"]) == (True, True, 0o640)
    assert (nothing["exists"], nothing["above_writable"]) == (False, True)
    assert nothing["problem"] == "No such file or directory"
    assert directory["free_bytes"] > 0
    assert memory["in_memory"]
    assert [bool(path) for path in found["commands"]] == [True, False]
    assert found["python"].startswith("3.")


def test_another_user_sees_its_own_permissions() -> None:
    with public_directory() as directory:
        (directory / "closed").mkdir(mode=0o500)

        def check() -> None:
            assert not path_script.look(str(directory / "closed"))["writable"]
            assert path_script.look(str(directory / "closed" / "file"))["exists"] is False

        as_somebody(check)


# Beat's schedule -----------------------------------------------------------------------------------------------------


def make_schedule(path: Path) -> None:
    with shelve.open(str(path)) as store:
        store["entries"] = {"cleanup": {"at": 3}}
        store["tz"] = "UTC"


def test_intact_schedule_has_no_problem(tmp_path: Path) -> None:
    make_schedule(tmp_path / "schedule")
    found = path_script.look_at_schedule(str(tmp_path / "schedule"))
    assert found["problem"] is None
    assert set(found["files"]) == {str(path) for path in tmp_path.iterdir()}


def test_schedule_of_the_dumb_dbm_is_found_by_its_suffixes(tmp_path: Path) -> None:
    with dbm.dumb.open(str(tmp_path / "schedule"), "n") as store:
        store[b"entries"] = pickle.dumps({})
    found = path_script.look_at_schedule(str(tmp_path / "schedule"))
    assert {Path(path).name for path in found["files"]} >= {"schedule.dat", "schedule.dir"}
    assert str(tmp_path / "schedule") not in found["files"]
    assert found["problem"] is None
    (tmp_path / "schedule.dir").write_text("nonsense\n")
    assert path_script.look_at_schedule(str(tmp_path / "schedule"))["problem"]


@pytest.mark.parametrize("content", [b"", b"not a schedule at all", b"\0" * 64])
def test_corrupt_schedule_is_recognised(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "schedule").write_bytes(content)
    assert path_script.look_at_schedule(str(tmp_path / "schedule"))["problem"]


def test_truncated_schedule_is_recognised(tmp_path: Path) -> None:
    make_schedule(tmp_path / "schedule")
    [file] = [path for path in tmp_path.iterdir() if path.suffix in ("", ".dat", ".db")]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 4])
    assert path_script.look_at_schedule(str(tmp_path / "schedule"))["problem"]


def test_schedule_whose_entries_are_no_pickles_can_be_opened(tmp_path: Path) -> None:
    with dbm.dumb.open(str(tmp_path / "schedule"), "n") as store:
        store[b"entries"] = b"no pickle"
    found = path_script.look_at_schedule(str(tmp_path / "schedule"))
    assert (bool(found["problem"]), found["opens"]) == (True, True)


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickle_of_the_schedule_is_not_run(tmp_path: Path) -> None:
    with shelve.open(str(tmp_path / "schedule")) as store:
        store["entries"] = Trap(tmp_path / "run")
    assert path_script.look_at_schedule(str(tmp_path / "schedule"))["problem"] is None
    assert not (tmp_path / "run").exists()


def test_missing_schedule_is_no_problem(tmp_path: Path) -> None:
    assert path_script.look_at_schedule(str(tmp_path / "schedule")) == {"files": {}, "problem": None, "opens": False}


def test_schedule_is_not_changed(tmp_path: Path) -> None:
    make_schedule(tmp_path / "schedule")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
    path_script.look_at_schedule(str(tmp_path / "schedule"))
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before


def test_only_a_corrupt_schedule_is_renamed_to_a_free_name(tmp_path: Path) -> None:
    schedule = tmp_path / "schedule"
    make_schedule(schedule)
    assert ask(Path(sys.executable), schedule=str(schedule), set_aside=True)["set_aside"] == []
    for number in (1, 2):
        for path in [path for path in tmp_path.iterdir() if "corrupt" not in path.name]:
            path.unlink()
        schedule.write_text(f"corrupt {number}")
        answer = ask(Path(sys.executable), schedule=str(schedule), set_aside=True)
        assert answer["set_aside"] == [[str(schedule), f"{schedule}.corrupt-{number}"]]
        assert answer["schedule"] == {"files": {}, "problem": None, "opens": False}
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["corrupt 1", "corrupt 2"]
