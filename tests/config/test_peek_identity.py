"""The name and scope of a project are read from a file that may be invalid otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from procman.config.peek_identity import read_identity
from procman.errors import ConfigurationError
from procman.model import Scope


def test_identity_is_read_from_an_otherwise_invalid_file(tmp_path: Path) -> None:
    path = tmp_path / "procman.toml"
    path.write_text('foo = 1\n[project]\nname = "catmaid"\nscope = "user"\napp = 3')
    assert read_identity(path) == ("catmaid", Scope.USER)
    path.write_text('[project]\nname = "catmaid"')
    assert read_identity(path) == ("catmaid", Scope.SYSTEM)


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "catmaid"\nscope = "user"',
        "  [ project ]  # whose\n\tname='catmaid' # it\n  scope  =  'user'",
        '[other]\nname = "x"\n[project]\nscope = "user"\nname = "catmaid"\n[worker.x]\nname = "y"\nscope = "system"',
        '[project]\n"name" = "catmaid"\n\'scope\' = "user"',
        '[project]\nname = "c\\u0061tmaid"\nscope = "user"',
        'project = { name = "catmaid", scope = "user" }',
        'project.name = "catmaid"\nproject.scope = "user"',
        '[project]\nname = """catmaid"""\nscope = "user"',
        '[environment]\nX = """\n[project]\nname = "x"\n"""\n[project]\nname = "catmaid"\nscope = "user"',
        '["project"]\nname = "catmaid"\nscope = "user"',
        '[project]\nname = "catmaid"\nscope = "user"\n[worker.celery]\nqueues = ["crop\nconcurrency = \n[[[',
        'broken\n[project]\nname = "catmaid"\nscope = "user"\napp = ',
    ],
)
def test_identity_is_read_in_every_notation(tmp_path: Path, text: str) -> None:
    path = tmp_path / "procman.toml"
    path.write_text(text)
    assert read_identity(path) == ("catmaid", Scope.USER)


NAME = "expected lowercase letters, digits and '-', starting with a letter, at most 63 characters"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", f": project.name: missing: {NAME}"),
        ("[project]", f":1: project.name: missing: {NAME}"),
        ("[project]\nuser = 'x'", f":1: project.name: missing: {NAME}"),
        ("[project]\nname = 1", f":2: project.name: {NAME} (found 1)"),
        ("[project]\nname = 'A'", f":2: project.name: {NAME}"),
        ("[project]\nname = 'x'\nscope = []", ':3: project.scope: expected one of "system", "user" (found a list)'),
        ("[project]\nname = 'x'\nscope = 'z'", ':3: project.scope: expected one of "system", "user"'),
        ("project = 1", ":1: project: expected a table: write [project] on its own line, and its keys below"),
        ("[[project]]\nname = 'x'", ":1: project: expected a table, not a list of tables"),
        ("=", ":1: invalid TOML: expected KEY = VALUE"),
        ("a = " + "[" * 5000, ": lists or tables are nested too deeply"),
    ],
)
def test_unreadable_identity_is_explained(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "procman.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_identity(path)
    assert raised.value.problems[0].startswith(f"{path}{problem}")


def test_reading_identity_imports_nothing_that_only_mistakes_need() -> None:
    # `status` starts with it, and must not be slower than supervisorctl.
    script = "import sys, procman.config.peek_identity, procman.config.find_file; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"procman.config.keys", "procman.config.value_types", "difflib", "procman.secrets"} & set(
        done.stdout.split()
    )
