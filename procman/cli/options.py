"""Define the options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from procman.cli import complete
from procman.cli.selection import Selection

F = TypeVar("F", bound=Callable[..., Any])

MOST_SECONDS = 7 * 86_400
"""A week, longer than any wait; poll(2) takes milliseconds in 31 bits, less than 25 days."""


class Seconds(click.ParamType):  # type: ignore[type-arg]  # not generic in Click 8.1
    """A number of seconds, from `least` (excluded with `min_open`) to `MOST_SECONDS`.

    Unlike Click's ranges, this and `Count` show no formula such as 0<x<=604800 in the help.
    """

    name = "seconds"

    def __init__(self, least: float = 0, *, min_open: bool = False) -> None:
        self._least, self._min_open = least, min_open

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return `value` as a number; `nan`, which is in no range, is wrong usage."""
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not self._least <= seconds <= MOST_SECONDS or (self._min_open and seconds == self._least):
            least = f"more than {self._least:g}" if self._min_open else f"at least {self._least:g}"
            self.fail(f"{value!r} is not a number of seconds: {least}, at most {MOST_SECONDS}.", param, ctx)
        return seconds


class Count(click.ParamType):  # type: ignore[type-arg]
    """A whole number, at least `least`."""

    name = "number"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return `value` as a whole number."""
        try:
            number = int(value)
        except ValueError:
            number = self._least - 1
        if number < self._least:
            self.fail(f"{value!r} is not a whole number of at least {self._least}.", param, ctx)
        return number


class PastMoment(click.ParamType):  # type: ignore[type-arg]
    """A moment up to now: a length of time before it, a time of day, a date, or a date with a time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the moment in seconds since the epoch; local time unless `value` names a zone."""
        from datetime import datetime  # imported when needed, which is seldom

        from procman.cli.times import EXAMPLES, past_moment

        found = past_moment(value, datetime.now().astimezone()) if isinstance(value, str) else value
        if found is None:
            self.fail(f"{value!r} is not a time up to now. Write {EXAMPLES}, for example.", param, ctx)
        return float(found)


def since(explanation: str) -> Callable[[F], F]:
    """Return the option `--since TIME`, whose value is in seconds since the epoch, with its help."""
    return click.option("--since", type=PastMoment(), metavar="TIME", help=explanation)


def project_options(**more: Any) -> list[click.Parameter]:
    """Return `--config` and `--project`, named as the fields of `Selection`; `more` are arguments for both."""
    default = "[default: $PROCMAN_CONFIG, or procman.toml in the working directory, above it or in /etc/procman/NAME]"
    configuration = click.Option(
        ["--config", "configuration"],
        type=click.Path(path_type=Path),
        help=f"Use this procman.toml; - is standard input, for render, export, check and diff.  {default}",
        **more,
    )
    project = click.Option(
        ["--project"],
        metavar="NAME",
        shell_complete=complete.project_names,
        help="Use the project NAME, which is installed or in /etc/procman, instead of a procman.toml that is found.",
        **more,
    )
    return [configuration, project]


def select(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Add `value` of an option of `project_options` to the selection in `context`; it may be given twice."""
    if value is None:
        return
    before = context.obj or Selection.of_group(context.find_root().params)
    other = getattr(before, option.name or "")
    if other not in (None, value):
        raise click.UsageError(f"{option.opts[0]} is given twice: {str(other)!r} and {str(value)!r}.", context)
    context.obj = before._replace(**{option.name or "": value})
    if context.obj.configuration and context.obj.project:
        raise click.UsageError("--config and --project cannot be used together.", context)


class Message(click.ParamType):  # type: ignore[type-arg]
    """A printable text; line breaks become spaces, so that it can be a commit message."""

    name = "text"
    longest = 500

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return `value` on one line, with secrets hidden: every user may read the history."""
        from procman.secrets import masked

        text = " ".join(str(value).split())
        if not text.isprintable():
            self.fail("it contains a control character.", param, ctx)
        if len(text) > self.longest:
            self.fail(f"it has {len(text)} characters: shorten it to at most {self.longest}.", param, ctx)
        return masked(text)


def seconds(*names: str, kind: Seconds, explanation: str, default: float | None = None) -> Callable[[F], F]:
    """Return an option with a number of seconds for its value."""
    return click.option(*names, type=kind, metavar="SECONDS", default=default, show_default=True, help=explanation)


def replaced(explanation: str) -> Callable[[F], F]:
    """Return the option `--replace FILE`, which may be given several times, with its help."""
    return click.option(
        "--replace", "replaced", type=click.Path(path_type=Path), multiple=True, metavar="FILE", help=explanation
    )


wait = seconds(
    "--wait",
    "wait_seconds",
    kind=Seconds(min_open=True),
    explanation="Wait for each program to become healthy, up to SECONDS after it starts.",
)

message = click.option(
    "-m",
    "--message",
    type=Message(),
    default="",
    metavar="TEXT",
    help="Reason for the change, shown by `procman history`, such as a Git commit.",
)

every = click.option("--all", "every", is_flag=True, help="Show every project that is installed on the host.")

watch = click.option("--watch", is_flag=True, help="Refresh the output every 2 seconds until Ctrl-C.")

at_once = click.option(
    "--at-once",
    type=Count(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Restart up to N programs of a kind, such as the instances of a worker, at the same time.",
)

lock_wait = seconds(
    "--lock-wait",
    "lock_seconds",
    kind=Seconds(),
    default=180,  # longer than an overlap restart that fails holds the lock: LOCK_SECONDS
    explanation="Time to wait while another procman command is running; 0 fails at once.",
)
