"""The paths that a sandbox hides from a program that needs them; tests/host/test_check.py has a real systemd."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from procman.backends.systemd.sandbox import bound, hidden
from procman.project import Project
from tests.backends.systemd.projects import project, toml

LIBRARY, STATE, RUN = "/usr/local/lib/procman/catmaid", "/var/lib/procman/catmaid", "/var/lib/procman/catmaid/run/"
CODE, ENV, NOTIFY = "/opt/catmaid/django/projects", "/opt/catmaid/django/env", "/run/systemd/notify"


def directives(**values: Sequence[str]) -> Project:
    lines = "".join(f"{name} = {[*value]}\n" for name, value in values.items())
    return project(more='writable_paths = ["/srv/media"]', rest=f"[systemd.directives]\n{lines}")


def hidden_of(found: Project, key: str = "worker.celery") -> list[str]:
    [program] = [program for program in found.programs if program.key == key]
    return [str(each.path) for each in hidden(found, program)]


@pytest.mark.parametrize(
    ("values", "paths"),
    [
        ({}, []),
        ({"TemporaryFileSystem": ["/usr/local"]}, [LIBRARY]),
        # systemd mounts the directory of StateDirectory= over it.
        ({"TemporaryFileSystem": ["/var"]}, [STATE]),
        ({"InaccessiblePaths": ["-/var"]}, [STATE, f"{RUN}catmaid-celery"]),
        ({"TemporaryFileSystem": ["/run:ro"]}, [NOTIFY]),
        ({"TemporaryFileSystem": ["/srv"]}, ["/srv/media"]),
        ({"TemporaryFileSystem": ["/opt"]}, [CODE, ENV, f"{ENV}/bin/python"]),
        ({"TemporaryFileSystem": ["/opt"], "BindReadOnlyPaths": ["/opt/catmaid"]}, []),
        ({"TemporaryFileSystem": ["/opt"], "BindPaths": ["/elsewhere:/opt/catmaid:rbind"]}, []),
        ({"TemporaryFileSystem": ["/opt/catmaid/django"], "BindPaths": ["/opt"]}, [CODE, ENV, f"{ENV}/bin/python"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_path_is_hidden_unless_it_is_bound_below(values: dict[str, list[str]], paths: list[str]) -> None:
    assert hidden_of(directives(**values)) == paths


def test_only_beat_needs_the_schedule_and_a_command_notifies_no_one() -> None:
    found = directives(TemporaryFileSystem=["/var/lib", "/run"])
    assert hidden_of(found, "beat") == [STATE, NOTIFY, "/var/lib/catmaid"]
    assert hidden_of(found, "command.flower") == [STATE]


def test_printed_lines_make_everything_visible_and_keep_what_was_bound() -> None:
    values: dict[str, Sequence[str]] = {
        "TemporaryFileSystem": ["/usr/local", "/var", "/run", "/srv", "/opt"],
        "BindReadOnlyPaths": ["/opt/catmaid"],
    }
    found = directives(**values)
    [beat] = [program for program in found.programs if program.key == "beat"]
    table, *pairs = bound(found, beat, hidden(found, beat)).splitlines()
    assert table == "[systemd.directives]"
    # A list of strings in JSON is one in TOML.
    lines = {name: json.loads(value) for name, value in (pair.split(" = ") for pair in pairs)}
    assert lines["BindReadOnlyPaths"][0] == "/opt/catmaid"
    assert lines["BindPaths"] == ["/srv/media", "/var/lib/catmaid"]
    assert hidden_of(directives(**{**values, **lines}), "beat") == []


def test_lines_for_a_directive_of_a_program_are_in_its_own_table() -> None:
    rest = f"[beat.systemd]\n{toml({'TemporaryFileSystem': '/usr/local'}).replace('= ', '= [')}]\n"
    found = project(rest=rest)
    [beat] = [program for program in found.programs if program.key == "beat"]
    assert bound(found, beat, hidden(found, beat)).startswith("[beat.systemd]\n")
