"""The reader of each file is found by its name, place and content."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from procman.errors import ConfigurationError, ProcmanError
from procman.init.importing.formats import FORMATS, MOST_FILES, read_sources, recognised

UNIT = "[Service]\nExecStart=/env/bin/celery -A shop worker\n"
PROGRAM = "[program:celery]\ncommand = celery -A shop worker\n"
DEFAULTS = 'CELERYD_NODES="a b"\nCELERY_APP="shop"\n'
SCRIPT = "#!/bin/sh\nexec celery -A shop worker\n"


def readers(tmp_path: Path, *sources: object) -> dict[str, str]:
    """Return the reader of each file that `sources` mean."""
    found = recognised(list(map(str, sources)), tmp_path)
    return {str(path.relative_to(tmp_path)): each.reader for path, each in found.items()}


@pytest.mark.parametrize(
    ("name", "text", "reader"),
    [
        ("celery.conf", PROGRAM, "read_supervisord"),
        ("supervisord.conf", "[include]\nfiles = conf.d/*.conf\n", "read_supervisord"),
        ("celery.service", UNIT, "read_units"),
        ("celery@.service", UNIT, "read_units"),
        ("unit.txt", UNIT, "read_units"),
        ("docker-compose.yml", "services:\n  worker:\n    command: celery\n", "read_compose"),
        ("compose.prod.yaml", "version: '3'\nservices:\n", "read_compose"),
        ("Procfile", "worker: celery -A shop worker\n", "read_procfile"),
        ("Procfile.dev", "worker: celery -A shop worker\n", "read_procfile"),
        ("init.d/celeryd", SCRIPT, "read_init_d"),
        ("celeryd", "#!/bin/sh -e\n### BEGIN INIT INFO\n", "read_init_d"),
        ("default/celeryd", DEFAULTS, "read_multi"),
        ("celerybeat.default", 'CELERYBEAT_CHDIR="/srv"\n', "read_multi"),
        ("run-worker", SCRIPT, "read_entry_point"),
        ("run.sh", "celery -A shop worker\n", "read_entry_point"),
    ],
)
def test_format_is_recognised(tmp_path: Path, name: str, text: str, reader: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    assert readers(tmp_path, file) == {name: reader}


def test_every_file_is_read_once_in_one_go(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.conf" for name in "ba"]
    for file in files:
        file.write_text(PROGRAM)
    [reading] = read_sources([*map(str, files), str(tmp_path), f"{tmp_path}/*.conf"], {}, tmp_path)
    assert sorted(reading.files) == sorted(files)


def test_file_that_a_unit_reads_is_not_read_again(tmp_path: Path) -> None:
    defaults, unit = tmp_path / "celeryd.default", tmp_path / "celery.service"
    defaults.write_text(DEFAULTS)
    unit.write_text(f"{UNIT}EnvironmentFile={defaults}\n")
    [reading] = read_sources([str(defaults), str(unit)], {}, tmp_path)
    assert set(reading.files) == {defaults, unit}
    assert [program.name for program in reading.programs] == ["celery"]


def test_directory_gives_its_files_of_known_formats(tmp_path: Path) -> None:
    for name, text in {
        "celery.conf": PROGRAM,
        "celery.conf~": PROGRAM,
        "celery.conf.dpkg-old": PROGRAM,
        "run-web": "#!/bin/sh\nexec gunicorn\n",
        "run-worker": SCRIPT,
        "README": "Celery\n",
        "nginx.conf": "server {}\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "secret").touch(0)
    assert readers(tmp_path, tmp_path) == {"celery.conf": "read_supervisord", "run-worker": "read_entry_point"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("celery.service", "etc/systemd/system/celery.service"),
        ("celery", "lib/systemd/system/celery.service"),
        ("celery@fast.service", "etc/systemd/system/celery@fast.service"),
        ("celeryd", "etc/init.d/celeryd"),
    ],
)
def test_units_and_init_scripts_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # An instance has the file of its template.
    file = tmp_path / path.replace("@fast", "@")
    file.parent.mkdir(parents=True)
    file.write_text(SCRIPT if "init.d" in path else UNIT)
    assert list(readers(tmp_path, name)) == [path]


def test_path_of_an_instance_is_found_by_its_template(tmp_path: Path) -> None:
    (tmp_path / "celery@.service").write_text(UNIT)
    assert readers(tmp_path, tmp_path / "celery@fast.service") == {"celery@fast.service": "read_units"}


def test_directory_of_drop_ins_means_its_unit(tmp_path: Path) -> None:
    (tmp_path / "celery.service.d").mkdir()
    (tmp_path / "celery.service").write_text(UNIT)
    assert readers(tmp_path, tmp_path / "celery.service.d") == {"celery.service": "read_units"}


@pytest.mark.parametrize("kind", ["text", "binary", "fifo"])
def test_unknown_format_is_an_error_that_names_the_known_ones(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "file"
    match kind:
        case "text":
            file.write_text("server {}\n")
        case "binary":
            file.write_bytes(b"#!/bin/sh\n\0celery")
        case _:
            os.mkfifo(file)
    with pytest.raises(ProcmanError, match="has no format that procman knows") as caught:
        read_sources([str(file)], {}, tmp_path)
    assert all(each.called in caught.value.hint for each in FORMATS)


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (0, "no files found"),
        (1, "its only file does not start Celery in a format that procman knows"),
        (2, "none of its 2 files starts Celery in a format that procman knows"),
    ],
)
def test_directory_without_a_known_format_is_an_error(tmp_path: Path, count: int, problem: str) -> None:
    for number in range(count):
        (tmp_path / f"nginx{number}.conf").write_text("server {}\n")
    with pytest.raises(ProcmanError, match=f"--from {tmp_path}: {problem}"):
        read_sources([str(tmp_path)], {}, tmp_path)


@pytest.mark.parametrize("source", ["missing.conf", "missing.service", "/missing/*.conf"])
def test_source_that_does_not_exist_is_a_usage_error(tmp_path: Path, source: str) -> None:
    with pytest.raises((ConfigurationError, ProcmanError), match=rf"--from {source.replace('*', '.')}") as caught:
        read_sources([source], {}, tmp_path)
    assert caught.value.exit_status == (1 if "*" in source else 2)


def test_empty_source_is_not_the_working_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"--from '': empty; expected a file"):
        read_sources([""], {}, tmp_path)


def test_path_that_the_system_refuses_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("link")
    for source in ("a" * 5000, str(tmp_path / "link" / "celery.conf")):
        with pytest.raises(ProcmanError, match=r"cannot read .*(too long|symbolic links)|not found"):
            read_sources([source], {}, tmp_path)


@pytest.mark.parametrize("name", ["", "celery.conf"])
def test_directory_without_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def refused(path: object, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat" if name else "listdir", refused)
    with pytest.raises(ProcmanError, match=r"cannot read .*: Permission denied") as raised:
        read_sources([str(tmp_path / name)], {}, tmp_path)
    assert "sudo" in raised.value.hint


def test_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "celery.conf").symlink_to(tmp_path / "missing")
    with pytest.raises(ProcmanError, match=r"cannot read .*No such file"):
        read_sources([str(tmp_path / "celery.conf")], {}, tmp_path)


def test_number_of_files_is_limited(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}").touch()
    with pytest.raises(ConfigurationError, match="more than 1000"):
        read_sources([str(tmp_path)], {}, tmp_path)
