"""Projects as they are laid out in public, reduced to what `procman init` has to find and `procman check` to judge.

Each file `NAME.toml` is one project: its files, and what init has to write for it. `@ROOT@` in any text is replaced by
the directory into which the test puts the files, and `@HASH:PATH@` by what poetry and pipenv put into the name of a
virtualenv for PATH. The keys:

    title       name and origin
    directory   where init is called, relative to the root
    options     options of init: name, app
    environment the caller's variables
    virtualenvs where virtualenvs are, by path, each with its kind: `venv`, `conda`, or `empty` (a venv without Celery)
    editable    what an editable install puts into the .pth file of each virtualenv
    notes       parts of what init has to warn about, one each; none may be left over
    fill_in     keys that init has to ask for
    programs    tables that init has to write; by default, one worker
    findings    codes of `procman check`, of those that judge the app, the virtualenv and the paths; `[]` if none
    [project]   values that `[project]` must have; `false` for a key that must not be set
    [variables] all that `[environment]` must have
    [files]     the text of each file, by path
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from procman.init.virtualenvs import path_hash

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Shape:
    """One file of this package, with the places filled in."""

    title: str
    files: Mapping[str, str]
    project: Mapping[str, Any]
    directory: str = "shop"
    options: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    virtualenvs: Mapping[str, str] = field(default_factory=lambda: {"shop/.venv": "venv"})
    editable: str = ""
    notes: tuple[str, ...] = ()
    fill_in: tuple[str, ...] = ()
    programs: tuple[str, ...] = ("worker.celery",)
    findings: tuple[str, ...] = ()


def table() -> str:
    """Return the table of docs/init.md."""
    shapes = [tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8")) for name in names()]
    rows = sorted(f"| {shape['title']} | {_parts(shape['project'])} |" for shape in shapes)
    return "\n".join(["| layout | what init writes |", "|---|---|", *rows])


def _parts(project: Mapping[str, Any]) -> str:
    if not project["app"]:
        return "nothing: it lists the projects"
    paths = {key: _path("".join(project.get(key) or "")) for key in ("directory", "python_path", "virtualenv")}
    found = {"app": project["app"], "settings": project.get("settings"), **paths}
    return ", ".join(f"`{key}` {value}" for key, value in found.items() if value)


def _path(text: str) -> str:
    return re.sub(r"@HASH:[^@]*@", "HASH", text.replace("@ROOT@/", ""))


def names() -> list[str]:
    """Return the name of every shape."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def put_on_disk(name: str, root: Path) -> Shape:
    """Write the files of the shape `name` below `root`, without its virtualenvs; return it."""
    text = (HERE / f"{name}.toml").read_text(encoding="utf-8").replace("@ROOT@", str(root))
    text = re.sub(r"@HASH:([^@]*)@", lambda match: path_hash(match[1]), text)
    found = tomllib.loads(text)
    lists: dict[str, Any] = {
        key: tuple(found.pop(key)) for key in ("notes", "fill_in", "programs", "findings") if key in found
    }
    shape = Shape(**found, **lists)
    for path, content in shape.files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")
    return shape
