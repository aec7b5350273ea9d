"""What is told of an install or a roll-back that failed: why, what was done about it, and what runs now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from procman.deploy.install import BroughtBack, Report
from procman.deploy.rollout import Failure
from procman.model import ProgramState, State
from procman.output.terminal import printable


def as_failure(report: Report, order: str) -> Iterator[str]:
    """Yield what a person needs to know once all is done about an ORDER that failed; the way out comes last."""
    back, tried = report.brought_back, report.plan.generation.number
    if back is None:
        yield f"Nothing was brought back; generation {tried} is in place."
        yield from _running(report.states)
        yield f"  when it is mended: {order}; or back to the one before: procman rollback"
        return
    yield from _brought_back(back, tried)
    yield from _running(report.states)
    if back.error:
        yield "  when that is mended: procman rollback, or procman install"
    elif back.generation is None:
        yield f"  when it is mended: {order}"
    else:
        yield f"  what was tried: procman diff --generation {tried}; when it is mended: {order}"


def _brought_back(back: BroughtBack, tried: int) -> Iterator[str]:
    if back.error:
        what = f"Generation {back.before} could not be brought back" if back.before else "What failed was not removed"
        first, *more = back.error.splitlines()
        yield f"{what}: {printable(first)}"
        yield from (f"  {printable(line)}" for line in more)
    elif back.before is not None and back.generation:
        yield (
            f"Generation {tried} was given up. Generation {back.before} is in place again, as generation "
            f"{back.generation.number}."
        )
    else:
        yield f"Stopped and removed, for there was no generation before: {', '.join(back.removed)}."
        yield "  --keep-failed leaves them to be looked at."
    if back.failures:
        failed = ", ".join(failure.program.name for failure in back.failures)
        yield f"  {failed}: not healthy with that either; nothing more is tried."
    for path in back.remains.restored if back.remains else ():
        yield f"restored  {path}"


def failure_lines(failure: Failure) -> Iterator[str]:
    """Yield why a program failed, and what it wrote last."""
    yield f"{failure.program.name}: {printable(failure.why.rstrip())}"
    yield from (f"  {printable(line)}" for line in failure.hint.splitlines())
    if failure.log:
        yield "  the end of its log:"
        yield from (f"  | {printable(line)}" for line in failure.log)


def _running(states: Iterable[ProgramState]) -> Iterator[str]:
    states = [*states]
    if not states:
        yield "Nothing is installed now."
        return
    others = [state for state in states if state.state is not State.RUNNING]
    running = [state.name for state in states if state.state is State.RUNNING]
    shown = ", ".join(running) if len(running) < 6 else f"{len(running)} programs"
    told = [f"running: {shown or 'nothing'}", *(f"{each.name}: {each.state.value}" for each in others)]
    yield f"Now {'; '.join(told)}."
