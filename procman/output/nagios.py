"""Format the health of a project as the line of a monitoring plugin, with performance data.

The format is that of the Monitoring Plugins Development Guidelines: `TEXT | 'label'=value[unit];warn;crit;min;max`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from procman.model import Level, Result
from procman.monitoring.checks.quick import SEVERITY
from procman.monitoring.health import Health
from procman.monitoring.states import answers_only
from procman.output.shared import in_order, shared
from procman.output.summary import named, summary
from procman.output.terminal import count_accepted, printable

if TYPE_CHECKING:
    # Monitoring runs this every minute, mostly for one project.
    from procman.monitoring.every_project import Answer

UNITS = {"memory_bytes": "B", "finished": "c", "restarts": "c"}
"""c: a counter that never decreases."""

LEFT_OUT = ("memory_is_rss",)

MOST_NAMED = 3
"""Results that the line shows; the others are counted."""


def as_line(health: Health) -> str:
    """Return the line; its exit status is `health.level`."""
    data = " ".join(_performance_data(health))
    line = f"{health.manifest.project.upper()} {health.level.name} - {_plain(_with_accepted(health))}"
    return f"{line} | {data}" if data else line


def of_all(answers: Sequence[Answer[Health]], level: Level) -> str:
    """Return one line for all projects, the most severe first; figures of a project as a whole have its name."""
    parts = [(each.found.level if each.found else Level.UNKNOWN, each) for each in answers]
    parts.sort(key=lambda part: -SEVERITY.index(part[0]))
    texts = [f"{each.project} {of_one.name}: {_plain(_of_answer(each))}" for of_one, each in parts]
    data = " ".join(
        figure for each in answers if each.found for figure in _performance_data(each.found, f"{each.project}.")
    )
    line = f"PROCMAN {level.name} - {'; '.join(texts) or 'no project is installed'}"
    return f"{line} | {data}" if data else line


def _of_answer(each: Answer[Health]) -> str:
    return _with_accepted(each.found) if each.found else each.problem


def _with_accepted(health: Health) -> str:
    accepted = count_accepted([result.code for result in health.everything if result.accepted])
    return f"{_text(health)}; {accepted}" if accepted else _text(health)


def failure_line(message: str) -> str:
    """Return the line for an error of usage or configuration; the exit status is 3."""
    return f"PROCMAN UNKNOWN - {_plain(message)}"


def _text(health: Health) -> str:
    problems = in_order(result for result in health.everything if result.level is not Level.OK)
    if not problems:
        only = answers_only(each.snapshot.state for each in health.programs)
        seen = f" (as heartbeats and /proc show; the process manager answers only {only})" if only else ""
        return summary(each.snapshot for each in health.programs) + seen
    causes = shared(problems)
    shown = [_shown(*each) for each in causes[:MOST_NAMED]]
    more = len(causes) - len(shown)
    return "; ".join(shown) + (f"; {more} more: procman health" if more else "")


def _shown(names: Sequence[str], result: Result) -> str:
    subject = f"{named(names)}: " if names else ""
    return f"{subject}{result.detail} ({result.code})"


def _performance_data(health: Health, of_project: str = "") -> Iterator[str]:
    for result in health.everything:
        for name, value in result.values.items():
            if name not in LEFT_OUT:
                label = f"{result.program}.{name}" if result.program else f"{of_project}{name}"
                yield f"'{_label(label)}'={_number(value)}{UNITS.get(name, '')};;;0"


def _number(value: float) -> str:
    # Without an exponent, which the guidelines do not allow.
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _label(text: str) -> str:
    return _plain(text).replace("'", "_").replace("=", "_")


def _plain(text: str) -> str:
    # A bar begins the performance data, and Nagios shows only the first line.
    return printable(" ".join(text.split())).replace("|", "/")
