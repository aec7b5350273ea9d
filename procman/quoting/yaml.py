"""Quote values for YAML files, and for the readers that expand `$` in them (S1)."""

from __future__ import annotations

import json
from collections.abc import Iterable

from procman.quoting import Encoded, checked


def yaml_text(value: object) -> Encoded:
    """Return `value` as a double-quoted scalar; a string of JSON is one too (YAML 1.2, section 1.3)."""
    return Encoded(json.dumps(checked(value), ensure_ascii=False))


def yaml_literal(value: object) -> Encoded:
    """Return `value` for a reader that expands variables, as Compose does everywhere and Kubernetes in commands and
    variables: both read `$$` as `$`."""
    return yaml_text(checked(value).replace("$", "$$"))


def yaml_words(words: Iterable[object]) -> Encoded:
    """Return `words` as a list on one line, for a reader that expands variables."""
    return Encoded(f"[{', '.join(yaml_literal(word) for word in words)}]")


def json_words(words: Iterable[object]) -> Encoded:
    """Return `words` as the list of the exec form in a Dockerfile."""
    return Encoded(json.dumps([checked(word) for word in words], ensure_ascii=False))


def yaml_block(lines: Iterable[str]) -> Encoded:
    """Return the lines of a text file, indented by four blanks, for a literal block: `key: |` before it."""
    return Encoded("\n".join(f"    {checked(line)}" if line else "" for line in lines))


def kustomize_line(value: object) -> Encoded:
    """Return `value` for the end of a line `NAME=` in a file that Kustomize's `env` names: it has no quotes at all."""
    return Encoded(checked(value))
