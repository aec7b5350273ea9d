"""Report a failed install or rollback: why it failed, what procman did about it, and which programs run now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from procman.deploy.failure import Failure
from procman.deploy.install import BroughtBack, Report
from procman.model import ProgramState, State
from procman.output.terminal import printable


def as_failure(report: Report, order: str) -> Iterator[str]:
    """Yield the lines that report a failed command; the last one names `order`, the command line to repeat."""
    back, tried = report.brought_back, report.plan.generation.number
    if back is None:
        yield f"Nothing was rolled back; generation {tried} stays installed."
        yield from _running(report.states)
        before = "return to the previous generation: procman rollback"
        undo = before if report.plan.before else "remove it: procman uninstall"
        yield f"  after fixing it: {order}; to {undo}"
        return
    yield from _brought_back(back, tried)
    yield from _running(report.states)
    if back.error:
        yield "  after fixing that: procman rollback or procman install"
    elif back.generation is None:
        yield f"  after fixing it: {order}"
    else:
        yield f"  to see what failed: procman diff --generation {tried}; after fixing it: {order}"


def _brought_back(back: BroughtBack, tried: int) -> Iterator[str]:
    if back.error:
        failed = f"Cannot roll back to generation {back.before}" if back.before else "Cannot remove the failed programs"
        first, *more = back.error.splitlines()
        yield f"{failed}: {printable(first)}"
        yield from (f"  {printable(line)}" for line in more)
    elif back.before is not None and back.generation:
        yield (
            f"Generation {tried} failed. Rolled back to generation {back.before}, which is now generation "
            f"{back.generation.number}."
        )
    else:
        yield f"Stopped and removed, because there is no previous generation: {', '.join(back.removed)}"
        yield "  to keep them for inspection: --keep-failed"
    if back.failures:
        names = ", ".join(failure.program.name for failure in back.failures)
        yield f"  not healthy after the rollback either: {names}; procman stops here"
    for path in back.remains.restored if back.remains else ():
        yield f"restored  {path}"


def failure_lines(failure: Failure) -> Iterator[str]:
    """Yield why a program failed, and the last lines of its log."""
    yield f"{failure.program.name}: {printable(failure.why.rstrip())}"
    # Those are shown here, and after a failed first install nothing is installed that the command could read.
    shown = f"procman logs {failure.program.name}" if failure.log else ""
    yield from (f"  {printable(line)}" for line in failure.hint.splitlines() if line != shown)
    if failure.log:
        file = next(reversed(failure.program.log_files), None)
        yield f"  last lines of its log{f', {printable(file)}' if file else ''}:"
        yield from (f"  | {printable(line)}" for line in failure.log)


def _running(states: Iterable[ProgramState]) -> Iterator[str]:
    states = [*states]
    if not states:
        yield "Nothing is installed now."
        return
    others = [state for state in states if state.state is not State.RUNNING]
    running = [state.name for state in states if state.state is State.RUNNING]
    shown = ", ".join(running) if len(running) < 6 else f"{len(running)} programs"
    parts = [f"running: {shown or 'nothing'}", *(f"{each.name}: {each.state.value}" for each in others)]
    yield f"Now {'; '.join(parts)}."
