"""All documents of a YAML file, with the line of each key: for manifests, which hold several."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from procman.errors import ProcmanError

MOST_ALIASES = 500
MOST_MERGED = 2000
LARGEST = 1 << 18
"""Characters: the parser of PyYAML needs seconds for more."""

YamlPath = tuple[str | int, ...]


class YamlDocument(NamedTuple):
    """One document, and the line of each key and item by its path, such as `("spec", "containers", 0)`."""

    content: Any
    lines: dict[YamlPath, int]


def yaml_documents(path: Path, text: str) -> list[YamlDocument]:
    """Return the documents in the `text` of `path`. Raises ProcmanError, also if PyYAML is not installed."""
    if len(text) > LARGEST:
        raise ProcmanError(f"{path}: larger than {LARGEST} characters", hint="Name another file.")
    try:
        import yaml  # noqa: F401
    except ImportError:
        raise ProcmanError(
            f"{path}: PyYAML, which reads this file, is not installed",
            hint="Install it: pip install 'celery-procman[containers]'",
        ) from None
    from procman.init.importing.readers.bounded_yaml import BoundsExceeded, YamlProblem, parse_all

    try:
        return [YamlDocument(*each) for each in parse_all(text, MOST_ALIASES, MOST_MERGED)]
    except BoundsExceeded as error:
        raise ProcmanError(f"{path}: {error}", hint="Name another file.") from None
    except YamlProblem as error:
        raise ProcmanError(f"{path}:{error.line}: this is not YAML: {error}", hint="Correct that line.") from None
