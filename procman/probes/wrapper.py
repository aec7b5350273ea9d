"""Try the wrapper of a program on the project's own Python and as its user (wrapper_script.py)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.errors import ProcmanError
from procman.probes import wrapper_script
from procman.probes.runner import Place, ask_project
from procman.secrets import masked_command

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class Tried:
    """What a wrapper did with a command."""

    error: str = ""
    """Why it did not run the command; empty if it did."""
    hint: str = ""
    is_found: bool = True
    """Whether it could be executed."""
    replaces_itself: bool = True
    """Whether the command ran with the wrapper's pid."""
    keeps_variables: bool = True


def try_wrapper(place: Place, wrapper: Sequence[str], *, timeout: float = TIMEOUT_SECONDS) -> Tried:
    """Run a command that does nothing under `wrapper`; everything it has started is killed after `timeout` seconds."""
    source = Path(wrapper_script.__file__)
    words = [json.dumps(list(wrapper))]
    try:
        answer = ask_project(
            place, masked_command(wrapper), source, words, timeout=timeout, doing="running a command under it"
        )
    except ProcmanError as error:
        return Tried(error.message, error.hint)
    if answer["error"]:
        return Tried(str(answer["error"]), is_found=False)
    return Tried(replaces_itself=answer["same"] is True, keeps_variables=answer["kept"] is True)
