"""Name and scope of a project, from a procman.toml that may be wrong in every other respect."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from procman.config.text import NAME_PATTERN, read_text
from procman.errors import ConfigurationError
from procman.model import Scope

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_identity(path: Path) -> tuple[str, Scope]:
    """Return the name and the scope that the file PATH gives.

    What is installed must stay visible and stoppable while somebody edits the file, so nothing else of it is judged.
    """
    path = path.absolute()
    text = read_text(path)
    try:
        table = tomllib.loads(text)["project"]
        name, scope = table["name"], Scope(table.get("scope", Scope.SYSTEM.value))
        if re.fullmatch(NAME_PATTERN, name):
            return name, scope
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        pass
    raise _refusal(path, text)


def _refusal(path: Path, text: str) -> ConfigurationError:
    # Imported only now: what explains mistakes takes longer to import than `status` has time.
    from procman.config import keys
    from procman.config.document import Document

    try:
        document = Document(path, text)
        table = document.table(document.root.get("project", {}), "project")
        found = [key for key in keys.PROJECT if key.name in ("name", "scope")]
        document.read({key.name: table[key.name] for key in found if key.name in table}, "project", found)
        document.require(table, "project", found)
        document.finish()
    except ConfigurationError as error:
        return error
    raise AssertionError(path)  # what was refused above is refused here too
