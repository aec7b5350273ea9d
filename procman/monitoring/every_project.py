"""Ask about every installed project at the same time; one that cannot be read or does not answer hides no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from procman.background import Background
from procman.errors import ProcmanError
from procman.lookup import Installed, installed_anywhere, installed_at

T = TypeVar("T")


class Answer(NamedTuple, Generic[T]):
    """What was found out about one project."""

    project: str
    state: Path
    """Its state directory, which differs for projects of the same name."""
    found: T | None
    """None if nothing could be found out."""
    problem: str = ""
    """Why not."""


def ask_each(ask: Callable[[Installed], T], environment: Mapping[str, str], seconds: float) -> list[Answer[T]]:
    """Return what `ask` finds for each project of every scope that `environment` leads to, within `seconds`."""
    deadline = time.monotonic() + seconds
    places = [(name, directories.state) for name, directories in installed_anywhere(environment)]
    calls = [Background(lambda state=state: _ask(ask, state)) for _, state in places]  # type: ignore[misc]
    return [_answer(*place, call, deadline) for place, call in zip(places, calls, strict=True)]


def _ask(ask: Callable[[Installed], T], state: Path) -> T:
    installed = installed_at(state)
    if installed is None:
        raise ProcmanError("it was uninstalled just now")
    return ask(installed)


def _answer(name: str, state: Path, call: Background[T], deadline: float) -> Answer[T]:
    try:
        return Answer(name, state, call.result(max(0.05, deadline - time.monotonic())))
    except ProcmanError as error:
        return Answer(name, state, None, error.in_one_line)
    except Exception as error:
        from procman.monitoring.checks.barrier import traceback_of

        return Answer(name, state, None, f"{type(error).__name__} in procman: {traceback_of(error)}")
