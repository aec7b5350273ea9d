"""Find the main processes of Celery among processes of any origin, and the shells that started them."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection, Iterable
from pathlib import Path

from procman.celery_cli.running import BEAT_INSIDE, arguments_of, option, subcommand
from procman.host.process import catches, executable, ignores, suspended
from procman.host.process_table import Process, Processes, look_at
from procman.host.process_tree import children_finder, tree_of

PYTHON = re.compile(r"(?:python|pypy)[0-9.]*\w*")
SHELL = re.compile(r"-?(?:ba|da|z|k|a|mk)?sh|busybox")

TITLE = "[celery"
"""The beginning of what Celery shows in place of its command line if setproctitle is installed (celery.platforms)."""

MANAGERS = ("honcho", "foreman")
"""They run Procfiles, and end all of its programs when one ends."""

KINDS = ("worker", "beat")


def is_celery(process: Process) -> bool:
    """Return whether a worker, beat or pool runs in the process: not a shell or another program that starts one."""
    if process.is_zombie or not process.argv:
        return False
    is_shown = process.argv[0].startswith(TITLE) or subcommand(arguments_of(process.argv)) in KINDS
    return is_shown and PYTHON.fullmatch(_program(process)) is not None


def mains_among(pids: Iterable[int]) -> list[Process]:
    """Return the main process of each worker and beat among `pids` and their descendants, by pid."""
    within = processes_below(pids)
    # Their parents matter, but may belong to another program.
    processes = look_at(within, ())
    return [each for pid in sorted(within & processes.keys()) if _is_main(each := processes[pid], processes)]


def processes_below(pids: Iterable[int]) -> set[int]:
    """Return `pids` and all of their descendants."""
    children_of = children_finder()
    return {each for pid in pids for each in tree_of(pid, children_of)}


def _is_main(process: Process, processes: Processes) -> bool:
    parent = processes.get(process.parent)
    return is_celery(process) and not (parent and is_celery(parent))


def starters_of(mains: Iterable[Process], pids: Collection[int]) -> set[int]:
    """Return those of `pids` that are ancestors of `mains` and would act when one ends: shells, and honcho or foreman.

    Other ancestors may read the output of Celery, and are none: their end of the pipe must not fill up.
    """
    processes = look_at(pids, ())
    above = {pid for main in mains for pid in _ancestors(main, processes) if pid in pids}
    return {pid for pid in above if _is_starter(processes[pid], processes)}


def suspended_starters(pids: Collection[int]) -> set[int]:
    """Return those of `pids` that `starters_of` returned earlier, and that are still suspended."""
    processes = look_at(pids, ())
    return {pid for pid in pids if pid in processes and suspended(pid) and _is_starter(processes[pid], processes)}


def _is_starter(process: Process, processes: Processes) -> bool:
    return SHELL.fullmatch(_program(process)) is not None or is_manager(process, processes)


def is_manager(process: Process, processes: Processes) -> bool:
    """Return whether the process runs a Procfile; honcho has a child for each program, which is none."""
    above = processes.get(process.parent)
    return _names_manager(process) and not (above and _names_manager(above))


def _names_manager(process: Process) -> bool:
    return any(Path(word).name in MANAGERS for word in process.argv[:3])


def is_of_pool(pid: int) -> bool:
    """Return whether a process of Celery is one of a pool, even if its main process has ended.

    Celery resets SIGTERM and ignores SIGINT in pool processes (celery.concurrency.prefork); a main process catches both
    once it has started. SIGTERM would kill a pool process with its task.
    """
    return not catches(pid, signal.SIGTERM) and ignores(pid, signal.SIGINT)


def has_beat(main: Process) -> bool:
    """Return whether a main process of Celery is a beat, or a worker that has one (-B)."""
    arguments = arguments_of(main.argv)
    return subcommand(arguments) == "beat" or not {*BEAT_INSIDE}.isdisjoint(arguments)


def node_of(main: Process) -> str:
    """Return the node name of a main process of Celery without its host; empty if its command line does not name it."""
    return (option(arguments_of(main.argv), "-n", "--hostname") or "").partition("@")[0]


def _ancestors(process: Process, processes: Processes) -> list[int]:
    found: list[int] = []
    while process.parent in processes and process.parent not in found:
        found.append(process.parent)
        process = processes[process.parent]
    return found


def _program(process: Process) -> str:
    # A process can change its command line, but not its executable; only its own user and root may see that.
    return Path(executable(process.pid) or "".join(process.argv[:1])).name
