"""Which processes a program of a supervisord has, and what its files contain without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.adoption.supervisord_files import reader_of, without
from procman.errors import ProcmanError
from procman.model import MARKER

MAIN = "[unix_http_server]\nfile=/run/absent.sock\n[supervisord]\n[include]\nfiles = conf.d/*.conf\n"
WEB = "[program:web]\ncommand=/bin/cat\n"
CELERY = "[program:celery]\ncommand=/bin/cat\n"


def written(directory: Path, **files: str) -> Path:
    """Write supervisord.conf and the included files; return the path of the former."""
    (directory / "conf.d").mkdir()
    for name, text in files.items():
        (directory / "conf.d" / f"{name}.conf").write_text(text)
    main = directory / "supervisord.conf"
    main.write_text(MAIN)
    return main


def adopted(main: Path, *names: str) -> tuple[dict[str, list[str]], dict[str, str | None]]:
    """Return the processes of each of `names`, and the remainders of the files that change, by their stems."""
    found = without(main, names)
    processes = {name: [f"{each.group}:{each.name}" for each in group] for name, group in found.processes.items()}
    return processes, {path.stem: left for path, left in found.files.items()}


def test_group_in_another_file_loses_its_member(tmp_path: Path) -> None:
    main = written(tmp_path, a=f"; ours\n{CELERY}", b=f"{WEB}[group:site]\nprograms = web, celery\n")
    assert adopted(main, "celery") == (
        {"celery": ["site:celery"]},
        {"a": "; ours\n", "b": f"{WEB}[group:site]\nprograms = web\n"},
    )


def test_every_process_of_a_section_belongs_to_it(tmp_path: Path) -> None:
    numbered = "numprocs=2\nprocess_name=worker-%(process_num)d\n"
    main = written(tmp_path, a=f"{CELERY}{numbered}{WEB}")
    assert adopted(main, "celery", "web") == (
        {"celery": ["celery:worker-0", "celery:worker-1"], "web": ["web:web"]},
        {"a": None},
    )


def test_group_whose_programs_are_all_adopted_goes(tmp_path: Path) -> None:
    main = written(tmp_path, a=f"{CELERY}{WEB}[group:site]\nprograms=celery,web\n")
    processes, files = adopted(main, "celery", "web")
    assert processes == {"celery": ["site:celery"], "web": ["site:web"]}
    assert files == {"a": None}


def test_program_in_the_main_file_is_adopted(tmp_path: Path) -> None:
    main = written(tmp_path)
    main.write_text(f"{MAIN}{CELERY}")
    assert adopted(main, "celery") == ({"celery": ["celery:celery"]}, {"supervisord": MAIN})


def test_symbolic_link_is_refused_with_the_command_that_replaces_it(tmp_path: Path) -> None:
    main, file = written(tmp_path), tmp_path / "celery.conf"
    file.write_text(CELERY)
    link = tmp_path / "conf.d/a.conf"
    link.symlink_to(file)
    with pytest.raises(ProcmanError, match=f"is a symbolic link.*: cp --remove-destination {file} {link}$"):
        adopted(main, "celery")


def test_file_of_another_project_of_procman_is_not_changed(tmp_path: Path) -> None:
    main = written(tmp_path, a=f"; {MARKER}\n{CELERY}")
    assert adopted(main, "celery") == ({"celery": []}, {})


def test_file_that_supervisord_cannot_read_is_named(tmp_path: Path) -> None:
    main = written(tmp_path, a=CELERY, b="[program:broken]\n")
    with pytest.raises(ProcmanError, match=r"supervisord cannot read its files: .*program:broken"):
        adopted(main, "celery")


def test_group_with_the_name_of_an_adopted_program_keeps_the_others(tmp_path: Path) -> None:
    main = written(tmp_path, a=f"{CELERY}{WEB}[group:celery]\nprograms=celery,web\n")
    assert adopted(main, "celery") == (
        {"celery": ["celery:celery"]},
        {"a": f"{WEB}[group:celery]\nprograms=web\n"},
    )


def test_supervisord_that_includes_the_file_reads_it(tmp_path: Path) -> None:
    main = written(tmp_path, a=CELERY)
    assert reader_of(tmp_path / "conf.d/a.conf", []) == main
    assert reader_of(main, []) == main
    (tmp_path / "conf.d/a.ini").write_text(CELERY)
    with pytest.raises(ProcmanError, match="no supervisord of this host reads that file"):
        reader_of(tmp_path / "conf.d/a.ini", [])
