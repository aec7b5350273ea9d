"""Name and scope of a project, from a procman.toml that may be wrong in every other respect."""

from __future__ import annotations

from pathlib import Path

from procman.config import keys
from procman.config.document import Document
from procman.config.load import read_text
from procman.model import Scope


def read_identity(path: Path) -> tuple[str, Scope]:
    """Return the name and the scope that the file PATH gives.

    What is installed must stay visible and stoppable while somebody edits the file, so nothing else of it is judged.
    """
    document = Document(path.absolute(), read_text(path))
    table = document.table(document.root.get("project", {}), "project")
    name, scope = table.get("name"), table.get("scope", Scope.SYSTEM.value)
    for key in keys.PROJECT:
        if key.name in ("name", "scope"):
            problem = key.type.problem(table.get(key.name, key.default), path.parent)
            if problem:
                document.complain(f"project.{key.name}", problem)
    document.finish()
    return str(name), Scope(scope)
