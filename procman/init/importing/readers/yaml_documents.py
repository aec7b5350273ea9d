"""All documents of a YAML file, with the line of each key: for manifests, which hold several."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from procman.errors import ProcmanError
from procman.init.importing.contents import content_of

MOST_ALIASES = 500
MOST_MERGED = 2000
MOST_NODES = 150_000
"""Keys, items and values: the parser of PyYAML needs four seconds for them."""
LARGEST = 4 << 20
"""Bytes: a manifest may contain files that are long, but are few nodes."""

TEMPLATE = re.compile(r"\{\{.*\}\}")
RENDER = "Render a template of Helm first: helm template CHART > chart.yaml"
PARTS = "Name a file with only the objects that run Celery."

YamlPath = tuple[str | int, ...]


class YamlDocument(NamedTuple):
    """One document, and the line of each key and item by its path, such as `("spec", "containers", 0)`."""

    content: Any
    lines: dict[YamlPath, int]


def yaml_text(path: Path) -> str:
    """Return the text of the YAML file at `path`. Raises ProcmanError if that is impossible."""
    return content_of(path, LARGEST)


def yaml_documents(path: Path, text: str) -> list[YamlDocument]:
    """Return the documents in the `text` of `path`. Raises ProcmanError, also if PyYAML is not installed."""
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise ProcmanError(
            f"{path}: PyYAML, which reads this file, is not installed",
            hint="Install it: pip install 'celery-procman[containers]'",
        ) from None
    from procman.init.importing.readers.bounded_yaml import Bounds, BoundsExceeded, YamlProblem, parse_all

    try:
        return [YamlDocument(*each) for each in parse_all(text, Bounds(MOST_ALIASES, MOST_MERGED, MOST_NODES))]
    except BoundsExceeded as error:
        raise ProcmanError(f"{path}: {error}", hint=PARTS) from None
    except YamlProblem as error:
        hint = RENDER if TEMPLATE.search(text) else "Correct that line."
        raise ProcmanError(f"{path}:{error.line}: this is not YAML: {error}", hint=hint) from None
