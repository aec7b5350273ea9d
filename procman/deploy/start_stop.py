"""`procman start`, `stop` and `logs`: commands to the process manager about installed programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from procman.backends import controller_of
from procman.backends.base import Progress
from procman.backends.logs import LogLine, LogRequest
from procman.deploy.bring_up import TOGETHER, bring_up
from procman.deploy.cut_drainers import cut_by_stop
from procman.deploy.end_outlived import EndOfOutlived
from procman.deploy.order_records import forget, log_events, ordered, remember, running_tasks
from procman.deploy.unfinished import UnfinishedTask, UnfinishedTasks
from procman.errors import ProcmanError
from procman.install.plan.activations import on_the_way_down
from procman.install.state.orders import note_order
from procman.lookup import Installed
from procman.model import InstalledProgram, State
from procman.program_names import resolve

ALREADY = {State.RUNNING: "already running", State.STARTING: "already starting"}


def start(
    installed: Installed, names: Sequence[str], progress: Progress, announce: Callable[[str], None]
) -> list[tuple[InstalledProgram, str]]:
    """Start the programs that `names` select, workers before beat; return each with what was done.

    If supervisord was not running, those are without names only the programs that should run: it comes back as it was.
    """
    installed.require_whole()
    manifest, programs = installed.manifest, _meant(installed, names)
    controller = controller_of(manifest)
    states = {each.name: each for each in controller.states(programs)}
    every = {program.name for program in programs}
    brought = bring_up(controller, announce, wanted=every if names else (), reported=every)
    if brought and not names:
        programs = [program for program in programs if states[program.name].desired]
    note_order(manifest, programs)
    controller.start(programs, progress)
    forget(manifest, programs)
    fresh = brought.started if brought else ()
    done = [
        (each, TOGETHER if each.name in fresh else ALREADY.get(states[each.name].state, "started")) for each in programs
    ]
    log_events(manifest, [ordered(each.name, "started") for each, what in done if what not in ALREADY.values()])
    return done


def earlier(number: int) -> str:
    """Return how many earlier processes `number` are."""
    return f"{number} earlier {'process' if number == 1 else 'processes'}"


def end_of_drain(
    installed: Installed, names: Sequence[str], progress: Progress
) -> list[tuple[InstalledProgram, int, tuple[UnfinishedTask, ...]]]:
    """Stop the earlier processes of the programs that `names` select, and nothing else; return each program with how
    many there were, and the tasks that they did not finish.

    Raises ProcmanError if a name selects a program that does not overlap.
    """
    from procman.deploy.keeper_answer import NotOverlapping
    from procman.deploy.overlap import stop_draining

    manifest, programs = installed.manifest, _meant(installed, names)
    unable = [program.name for program in programs if not program.overlap_max]
    if names and unable:
        which = f"{', '.join(unable)} {'does' if len(unable) == 1 else 'do'} not overlap"
        raise ProcmanError(f"{which}, so nothing drains", hint="`procman stop` stops a program itself.")
    controller, done = controller_of(manifest), []
    for program in (each for each in programs if each.overlap_max):
        unfinished = UnfinishedTasks(manifest, [program])
        outlived = EndOfOutlived(manifest, controller, [program])
        number = outlived.count
        try:
            with suppress(NotOverlapping):
                number += stop_draining(controller, manifest, program, progress)
        finally:
            outlived.wait(progress)
        if number:
            log_events(manifest, [ordered(program.name, "stopped", reason=earlier(number))])
        done.append((program, number, unfinished.of(program)))
    return done


def stop(
    installed: Installed, names: Sequence[str], progress: Progress, announce: Callable[[str], None] = lambda _: None
) -> list[tuple[InstalledProgram, tuple[UnfinishedTask, ...]]]:
    """Stop the programs that `names` select, gracefully and in parallel, beat before the workers.

    Return each with the tasks that it did not finish.
    """
    manifest, programs = installed.manifest, _meant(installed, names)
    controller = controller_of(manifest)
    running = running_tasks(manifest, controller, programs)
    unfinished = UnfinishedTasks(manifest, programs)
    for cut in cut_by_stop(manifest, controller, programs):
        announce(cut.text)
    remember(manifest, programs, desired=False)
    note_order(manifest, programs)
    log_events(manifest, [ordered(name, "stopped", tasks=tasks) for name, tasks in running.items()])
    outlived = EndOfOutlived(manifest, controller, programs)
    controller.stop(sorted(programs, key=on_the_way_down), progress)
    outlived.wait(progress)
    return [(program, unfinished.of(program)) for program in programs]


def logs(installed: Installed, names: Sequence[str], request: LogRequest) -> tuple[list[str], Iterator[LogLine]]:
    """Return the names of the programs that `names` select, and the lines of their logs in one stream."""
    programs = _meant(installed, names)
    return [program.name for program in programs], controller_of(installed.manifest).log_lines(programs, request)


def _meant(installed: Installed, names: Sequence[str]) -> list[InstalledProgram]:
    return resolve(installed.manifest.project, installed.manifest.programs, names)
