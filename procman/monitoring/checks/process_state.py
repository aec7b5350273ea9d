"""PM101: check the state that the process manager reports, and that the main process exists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from procman.background import Background
from procman.host.ordered import NOT_COMPLETED
from procman.host.process import memory
from procman.host.process_tree import ChildrenOf, children_finder, tree_of
from procman.model import InstalledProgram, Level, ProgramState, Result, State
from procman.monitoring.checks.crash_loop import describe, is_in_crash_loop
from procman.monitoring.checks.inputs import ProgramSnapshot, ProjectSnapshot

CODE = "PM101"

ENOUGH_FOR_THREADS = 8
"""Programs whose memory takes longer to read than a thread to start."""


def check(running: ProjectSnapshot) -> Iterator[Result]:
    """Yield a result for each program; `values` has memory_bytes (PSS of the tree) and children.

    What drains beside a worker that overlaps counts as draining_memory_bytes.
    If the memory of another user's processes cannot be read, memory_bytes is the RSS and memory_is_rss is 1.
    """
    yield from check_processes(running.programs, lambda pid: [each.pid for each in running.children(pid)])


def check_processes(programs: Sequence[ProgramSnapshot], children_of: ChildrenOf | None = None) -> list[Result]:
    """Return one result per program, in order, as `check` does; `children_of` is given if children are known."""
    children_of = children_of or children_finder()
    trees = [tree_of(each.state.pid, children_of) if each.state.pid else [] for each in programs]
    draining = [[pid for each in snapshot.draining for pid in tree_of(each.pid, children_of)] for snapshot in programs]
    results = list(map(_check, programs, trees, _memories(trees)))
    return [_with_draining(*each) if each[1] else each[0] for each in zip(results, draining, strict=True)]


def _with_draining(result: Result, pids: Sequence[int]) -> Result:
    # Not a part of memory_bytes, which healing compares with the limit of one process.
    total = _memory(pids).get("memory_bytes", 0.0)
    return result._replace(values={**result.values, "draining_memory_bytes": total})


def _memories(trees: Sequence[Sequence[int]]) -> list[dict[str, float]]:
    """Return the memory of each tree of processes. The kernel sums their pages meanwhile, so two threads are faster."""
    if len(trees) < ENOUGH_FOR_THREADS:
        return list(map(_memory, trees))
    half = len(trees) // 2
    second = Background(lambda: list(map(_memory, trees[half:])))
    return [*map(_memory, trees[:half]), *second.result()]


def _check(snapshot: ProgramSnapshot, pids: Sequence[int], memory: dict[str, float]) -> Result:
    program, state = snapshot.program, snapshot.state
    level, detail, hint = (Level.OK, "", "") if snapshot.is_started else _judge_state(program, state)
    if is_in_crash_loop(snapshot):
        level, detail, hint = Level.CRITICAL, describe(snapshot), f"procman logs {program.name}"
    if state.pid is None:
        return Result(CODE, program.name, level, detail, hint)
    values = {"children": float(len(pids) - 1), **memory}
    if level is Level.OK and "memory_bytes" not in values:
        level, detail = Level.CRITICAL, f"process {state.pid} no longer exists"
        hint = "The program may be restarting; run the command again"
    return Result(CODE, program.name, level, detail, hint, values)


def _judge_state(program: InstalledProgram, state: ProgramState) -> tuple[Level, str, str]:
    detail = state.state.value.lower() + (f": {state.detail}" if state.detail else "")
    match state.state:
        case State.UNKNOWN:
            return Level.UNKNOWN, state.detail or "the process manager does not report its state", ""
        case _ if not state.desired:
            is_new = state.state is State.STOPPED and state.since is None and not program.autostart
            return Level.OK, "not started (autostart = false)" if is_new else "stopped on purpose", ""
        case _ if state.manager_problem:
            # PM113 has the cause and the command, once for all programs.
            return Level.CRITICAL, detail, ""
        case State.STARTING | State.STOPPING:
            is_left = state.detail.endswith(NOT_COMPLETED)
            return Level.WARNING, detail, f"procman start {program.name}" if is_left else ""
        case State.STOPPED:
            return Level.CRITICAL, detail, f"procman start {program.name}"
        case _:
            return Level.CRITICAL, detail, f"procman logs {program.name}"


def _memory(pids: Sequence[int]) -> dict[str, float]:
    found = [each for each in map(memory, pids) if each]
    total = sum(size for size, _ in found)
    is_rss = not all(is_share for _, is_share in found)
    return {"memory_bytes": float(total), **({"memory_is_rss": 1.0} if is_rss else {})} if total else {}
