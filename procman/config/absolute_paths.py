"""Refuse relative paths in a procman.toml that is exported: in the image there is no file to start from."""

from __future__ import annotations

from collections.abc import Iterator

from procman.config import keys
from procman.config.document import Document, Table
from procman.config.keys import Key
from procman.config.toml_lines import dotted
from procman.config.value_types import LOG_FILE, PATH, PATHS, SEARCH_PATH, SEARCH_PATHS

OF_HOST = ("templates",)
"""Keys with a path that only procman itself reads."""

TYPES = (PATH, SEARCH_PATH, LOG_FILE, PATHS, SEARCH_PATHS)


def check_absolute(document: Document) -> None:
    """Note each relative path of the project and its programs in `document`."""
    for where, table, known in _tables(document):
        for key in known:
            if key.type in TYPES and key.name not in OF_HOST and _is_relative(table.get(key.name)):
                place = f"{where}.{key.name}"
                if document.is_valid(place):
                    problem = "expected an absolute path: it is one in the image, where this file is not"
                    document.add_problem(place, problem)


def _tables(document: Document) -> Iterator[tuple[str, Table, tuple[Key, ...]]]:
    for name in ("project", "beat"):
        yield name, _table(document.root.get(name)), keys.SINGLE_TABLES[name]
    for kind, known in keys.NAMED_TABLES.items():
        for name, table in _table(document.root.get(kind)).items():
            yield f"{kind}.{dotted(name)}", _table(table), known


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def _is_relative(value: object) -> bool:
    paths = value if isinstance(value, list) else [value]
    return any(isinstance(path, str) and not path.startswith("/") for path in paths)
