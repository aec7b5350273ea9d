"""Name and scope of a project, from a procman.toml that may be wrong in every other respect."""

from __future__ import annotations

import re
from pathlib import Path

from procman.config.document import Document
from procman.config.load import read_text
from procman.config.types import NAME_PATTERN
from procman.errors import ConfigurationError
from procman.model import Scope


def read_identity(path: Path) -> tuple[str, Scope]:
    """Return the name and the scope that the file PATH gives.

    What is installed must stay visible and stoppable while somebody edits the file, so nothing else of it is judged.
    """
    path = path.absolute()
    document = Document(path, read_text(path))
    table = document.table(document.root.get("project", {}), "project")
    name, scope = table.get("name"), table.get("scope", Scope.SYSTEM.value)
    if not isinstance(name, str) or not re.fullmatch(NAME_PATTERN, name):
        document.complain("project.name", "expected small letters, digits and '-', beginning with a letter")
    elif scope not in {each.value for each in Scope}:
        document.complain("project.scope", 'expected one of "system", "user"')
    else:
        return name, Scope(scope)
    document.finish()
    raise ConfigurationError([f"{path}: no project name"])
