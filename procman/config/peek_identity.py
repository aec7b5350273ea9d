"""Name and scope of a project, from a procman.toml that may be wrong in every other respect."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from procman.config.read_file import NAME_PATTERN, read_text
from procman.errors import ConfigurationError
from procman.model import Scope

_HEADER = re.compile(r"[ \t]*\[[ \t]*(?P<table>[^\]]*?)[ \t]*\][ \t]*(?:#.*)?")
_ENTRY = re.compile(
    r"""[ \t]*(?P<key>name|scope)[ \t]*=[ \t]*(?P<quote>["'])(?P<value>[a-z0-9-]*)(?P=quote)[ \t]*(?:#.*)?"""
)


def read_identity(path: Path) -> tuple[str, Scope]:
    """Return the name and the scope that the file PATH gives.

    What is installed must stay visible and stoppable while somebody edits the file, so nothing else of it is judged.
    """
    path = path.absolute()
    text = read_text(path)
    identity = _written_plainly(text) or _parsed(text)
    if identity is None:
        raise _refusal(path, text)
    return identity


def _written_plainly(text: str) -> tuple[str, Scope] | None:
    """Return what nearly every file says without the parser for all of TOML, which `status` need not wait for."""
    if '"""' in text or "'''" in text:
        return None  # what looks like a line may stand within a text
    found: dict[str, str] = {}
    table = ""
    for line in text.splitlines():
        if header := _HEADER.fullmatch(line):
            table = header["table"]
        elif table == "project" and (entry := _ENTRY.fullmatch(line)):
            found[entry["key"]] = entry["value"]
        elif table == "project" and re.match(r"""[ \t]*["']?(?:name|scope)\b""", line):
            return None
    return _identity(found)


def _parsed(text: str) -> tuple[str, Scope] | None:
    try:
        return _identity(_toml(text)["project"])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def _toml(text: str) -> Mapping[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _identity(table: Mapping[str, Any]) -> tuple[str, Scope] | None:
    try:
        name, scope = table["name"], Scope(table.get("scope", Scope.SYSTEM.value))
        return (name, scope) if re.fullmatch(NAME_PATTERN, name) else None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


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
