"""The reader of each file is found by its name, place and content."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from procman.errors import ConfigurationError, ProcmanError
from procman.init.importing import formats
from procman.init.importing.existing import Reading
from procman.init.importing.formats import FORMATS, MOST_FILES, read_sources

UNIT = "[Service]\nExecStart=/env/bin/celery -A shop worker\n"
PROGRAM = "[program:celery]\ncommand = celery -A shop worker\n"
DEFAULTS = 'CELERYD_NODES="a b"\nCELERY_APP="shop"\n'
SCRIPT = "#!/bin/sh\nexec celery -A shop worker\n"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Path]]:
    """Return the files that each reader gets, instead of what it finds in them."""
    given: dict[str, list[Path]] = {}

    def reader(module: str) -> Any:
        class Reader:
            @staticmethod
            def read(files: list[Path], _: object, root: Path) -> Reading:
                given[module.rpartition(".")[2]] = files
                # A unit also reads the file that its EnvironmentFile= names.
                beside = [path.parent / "celeryd.default" for path in files if path.suffix == ".service"]
                return Reading(files=(*files, *beside))

        return Reader

    monkeypatch.setattr(formats, "import_module", reader)
    return given


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
def test_format_is_recognised(tmp_path: Path, read: dict[str, list[Path]], name: str, text: str, reader: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    read_sources([str(file)], {}, tmp_path)
    assert read == {reader: [file]}


def test_every_file_is_read_once_in_one_go(tmp_path: Path, read: dict[str, list[Path]]) -> None:
    files = [tmp_path / f"{name}.conf" for name in "ba"]
    for file in files:
        file.write_text(PROGRAM)
    read_sources([*map(str, files), str(tmp_path), f"{tmp_path}/*.conf"], {}, tmp_path)
    assert read == {"read_supervisord": files}


def test_file_that_a_unit_reads_is_not_read_again(tmp_path: Path, read: dict[str, list[Path]]) -> None:
    (tmp_path / "celeryd.default").write_text(DEFAULTS)
    (tmp_path / "celery.service").write_text(UNIT)
    read_sources([str(tmp_path / "celeryd.default"), str(tmp_path / "celery.service")], {}, tmp_path)
    assert read == {"read_units": [tmp_path / "celery.service"]}


def test_directory_gives_its_files_of_known_formats(tmp_path: Path, read: dict[str, list[Path]]) -> None:
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
    read_sources([str(tmp_path)], {}, tmp_path)
    assert read == {"read_supervisord": [tmp_path / "celery.conf"], "read_entry_point": [tmp_path / "run-worker"]}


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
    tmp_path: Path, read: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    # An instance has the file of its template.
    file = tmp_path / path.replace("@fast", "@")
    file.parent.mkdir(parents=True)
    file.write_text(SCRIPT if "init.d" in path else UNIT)
    read_sources([name], {}, tmp_path)
    assert list(read.values()) == [[tmp_path / path]]


def test_path_of_an_instance_is_found_by_its_template(tmp_path: Path, read: dict[str, list[Path]]) -> None:
    (tmp_path / "celery@.service").write_text(UNIT)
    read_sources([str(tmp_path / "celery@fast.service")], {}, tmp_path)
    assert read == {"read_units": [tmp_path / "celery@fast.service"]}


def test_directory_of_drop_ins_means_its_unit(tmp_path: Path, read: dict[str, list[Path]]) -> None:
    (tmp_path / "celery.service.d").mkdir()
    (tmp_path / "celery.service").write_text(UNIT)
    read_sources([str(tmp_path / "celery.service.d")], {}, tmp_path)
    assert read == {"read_units": [tmp_path / "celery.service"]}


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


def test_directory_without_a_known_format_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("server {}\n")
    with pytest.raises(ProcmanError, match="none of its 1 files starts Celery in a format"):
        read_sources([str(tmp_path)], {}, tmp_path)


@pytest.mark.parametrize("source", ["missing.conf", "missing.service", "/missing/*.conf"])
def test_source_that_does_not_exist_is_a_usage_error(tmp_path: Path, source: str) -> None:
    with pytest.raises((ConfigurationError, ProcmanError), match=rf"--from {source.replace('*', '.')}") as caught:
        read_sources([source], {}, tmp_path)
    assert caught.value.exit_status == (1 if "*" in source else 2)


def test_dangling_link_is_reported(tmp_path: Path) -> None:
    (tmp_path / "celery.conf").symlink_to(tmp_path / "missing")
    with pytest.raises(ProcmanError, match=r"cannot read .*No such file"):
        read_sources([str(tmp_path / "celery.conf")], {}, tmp_path)


def test_number_of_files_is_limited(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number}").touch()
    with pytest.raises(ConfigurationError, match="more than 1000"):
        read_sources([str(tmp_path)], {}, tmp_path)
