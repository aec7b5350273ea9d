"""Examine a project although a check of one program may fail or hang, on a disk that does not answer for example.

A thread that waits for the kernel cannot be ended, so it is left behind. As long as it waits, its program is not
examined again, and the others are examined one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from procman.backends import controller_of
from procman.background import Background, TimedOut
from procman.errors import ProcmanError
from procman.install.state.manifest import Manifest
from procman.lookup import Installed
from procman.model import Level, Result
from procman.monitoring.checks.barrier import failed, traceback_of
from procman.monitoring.checks.inputs import ProgramSnapshot
from procman.monitoring.health import Health, ProgramHealth, examine, examine_program, examine_project
from procman.monitoring.states import states_of
from procman.program_names import resolve

Hanging = dict[str, Background[Health]]
"""The examinations that have not ended, by program; WHOLE is that of everything, PROJECT that of the project alone."""

WHOLE, PROJECT = "*", ""

WHOLE_SHARE, EACH_SHARE = 0.65, 0.15
"""Of the time limit of a command, for `Limits`; the rest is for the process manager."""

ENOUGH_SECONDS = 25.0
"""The least time limit of a command that these shares make long enough."""


@dataclass(frozen=True)
class Limits:
    """How long an examination may take, in seconds."""

    whole: float = 30.0
    """Of all programs at once; longer than a query of the broker."""
    each: float = 10.0
    """Of all programs one by one, together, after the whole has exceeded its limit."""


DEFAULT = Limits()


def examine_in_time(
    installed: Installed,
    hanging: Hanging,
    limits: Limits = DEFAULT,
    names: Sequence[str] = (),
) -> Health:
    """Examine the programs in `names`, without names all, and the project, as `examine` does.

    The result of a program that fails or takes too long is UNKNOWN. `hanging` is empty at first, and is passed on from
    one call to the next.
    """
    for name in [name for name, each in hanging.items() if each.is_done]:
        del hanging[name]
    tracebacks: tuple[str, ...] = ()
    if not hanging:
        whole = Background(lambda: examine(installed, names))
        try:
            return whole.result(limits.whole)
        except TimedOut:
            hanging[WHOLE] = whole
        except ProcmanError:
            raise
        except Exception as error:
            tracebacks = (traceback_of(error),)
    return _one_by_one(installed, names, hanging, limits.each, tracebacks)


def examine_asked(installed: Installed, names: Sequence[str], seconds: float, *, probe: bool) -> Health:
    """Do the same once for an administrator or monitoring, within about `seconds`.

    The broker is queried, too, if `management_url` is configured. After a query there is no time left to examine the
    programs one by one.
    """
    asks = probe or installed.manifest.health.management_url is not None
    if asks or seconds < ENOUGH_SECONDS:
        return examine(installed, names, probe=asks)
    return examine_in_time(installed, {}, Limits(seconds * WHOLE_SHARE, seconds * EACH_SHARE), names)


def _one_by_one(
    installed: Installed, names: Sequence[str], hanging: Hanging, seconds: float, tracebacks: tuple[str, ...]
) -> Health:
    manifest = installed.manifest
    meant = resolve(manifest.project, manifest.programs, names)
    states = states_of(installed, controller_of(manifest), meant)
    calls: dict[str, Callable[[], Health]] = {
        each.name: partial(examine_program, manifest, each, state) for each, state in zip(meant, states, strict=True)
    }
    calls[PROJECT] = partial(examine_project, manifest)
    found = _within(calls, hanging, seconds)
    programs = [
        _program_health(manifest, ProgramSnapshot(each, state), found[each.name], seconds)
        for each, state in zip(meant, states, strict=True)
    ]
    whole = found[PROJECT]
    results = whole.results if isinstance(whole, Health) else (_unknown(manifest, "PM603", None, whole, seconds),)
    for each in found.values():
        if isinstance(each, Health):
            tracebacks += each.tracebacks
        elif not isinstance(each, TimedOut):
            tracebacks += (traceback_of(each),)
    return Health(manifest, time.time(), tuple(programs), results, tracebacks=tracebacks)


def _within(
    calls: Mapping[str, Callable[[], Health]], hanging: Hanging, seconds: float
) -> dict[str, Health | Exception]:
    """Return the result or the exception of each of `calls`, run in parallel; one that still hangs is not repeated."""
    deadline = time.monotonic() + seconds
    begun = {name: Background(call) for name, call in calls.items() if name not in hanging}
    found: dict[str, Health | Exception] = dict.fromkeys(calls, TimedOut("it still hangs"))
    for name, each in begun.items():
        try:
            found[name] = each.result(max(0.05, deadline - time.monotonic()))
        except TimedOut as error:
            found[name], hanging[name] = error, each
        except Exception as error:
            found[name] = error
    return found


def _program_health(
    manifest: Manifest, snapshot: ProgramSnapshot, found: Health | Exception, seconds: float
) -> ProgramHealth:
    if isinstance(found, Health):
        return found.programs[0]
    unknown = _unknown(manifest, "PM101", snapshot.program.name, found, seconds)
    return ProgramHealth(snapshot, (unknown,), hangs=True)


def _unknown(manifest: Manifest, code: str, program: str | None, error: Exception, seconds: float) -> Result:
    if not isinstance(error, TimedOut):
        return failed(code, program, error, manifest)
    detail = f"its checks have not ended within {seconds:g} s: they wait for a disk or another process"
    return Result(code, program, Level.UNKNOWN, detail, "df and dmesg show a disk that does not answer")
