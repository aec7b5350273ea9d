"""Read the name and scope of a project from a procman.toml that may be invalid otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from procman.config.read_file import NAME_PATTERN, read_text
from procman.config.toml_lines import texts_of
from procman.model import Scope


def read_identity(path: Path) -> tuple[str, Scope]:
    """Return the name and the scope in the file `path`.

    Nothing else in the file is checked, so that `status` and `stop` work while someone edits it.
    """
    path = path.absolute()
    text = read_text(path)
    return _identity(texts_of(text, "project")) or _strictly(path, text)


def _identity(project: Mapping[str, str]) -> tuple[str, Scope] | None:
    name, scope = project.get("name", ""), project.get("scope", Scope.SYSTEM.value)
    if re.fullmatch(NAME_PATTERN, name) and scope in (each.value for each in Scope):
        return name, Scope(scope)
    return None


def _strictly(path: Path, text: str) -> tuple[str, Scope]:
    """Return the same from a file that must be valid TOML; ConfigurationError lists its problems."""
    # Imported only here: the modules that explain mistakes take too long to import for `status`.
    from procman.config import keys
    from procman.config.document import Document

    document = Document(path, text)
    table = document.section("project")
    found = [key for key in keys.PROJECT if key.name in ("name", "scope")]
    values = document.read_all({key.name: table[key.name] for key in found if key.name in table}, "project", found)
    document.require(table, "project", found)
    document.finish()
    return values["name"], values["scope"]
