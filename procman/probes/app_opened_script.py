"""Record which environment files the project's code opens. procman puts this text before that of app_script.py."""

import os
import sys
from typing import Any, List, Optional

ENVIRONMENT_FILE = ".env"
"""The end of the names of such files; it is a whole name, too."""

MOST_OPENED = 100


def watch_opened() -> Optional[List[str]]:
    """Return a list that gets the path of each environment file opened from now on; None: this Python has no hooks."""
    if not hasattr(sys, "addaudithook"):
        return None
    opened = []  # type: List[str]

    def note(event: str, arguments: Any) -> None:
        # An exception here would be one of the project's open().
        name = arguments[0] if event == "open" else None
        if isinstance(name, str) and name.endswith(ENVIRONMENT_FILE) and len(opened) < MOST_OPENED:
            opened.append(os.path.abspath(name))

    sys.addaudithook(note)
    return opened
