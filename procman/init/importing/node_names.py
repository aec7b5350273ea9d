"""Keep the host of a node name open in an imported command, as it was in the file that was read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

OPTION = re.compile(r"-n|--hostname=")


def with_open_host(words: Sequence[str], written: Iterable[str], forms: Sequence[str]) -> list[str]:
    """Return `words` with Celery's %h for the name of this host at the end of a node name.

    Only if a text of `written`, from which they were expanded, has one of `forms`, such as `%(host_node_name)s`.
    """
    host = f"@{os.uname().nodename}"
    if not any(form in text for text in written for form in forms):
        return list(words)
    return [
        word.removesuffix(host) + "@%h" if word.endswith(host) and _is_node_name(before, word) else word
        for before, word in zip(["", *words], words, strict=False)
    ]


def _is_node_name(before: str, word: str) -> bool:
    return before in ("-n", "--hostname") or OPTION.match(word) is not None
