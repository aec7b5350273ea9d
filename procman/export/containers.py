"""How a container runs a program: the same launch as on a host, with the agent's files from outside the image."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from procman.agent import LAUNCHER
from procman.backends.record import Rule
from procman.export.hidden_beat import problem_of
from procman.export.mounts import problems as problems_of_mounts
from procman.host.unit_names import stop_timeout_seconds
from procman.launch import launch_of, launcher_files
from procman.model import Kind
from procman.project import Command, Launch, Program, Project, RenderedFile, Worker

PROBE = "probe.py"

TOP = Path("/")
"""The directory of an export, as every path of a rendering is absolute; `--output` puts another in its place."""

LONGEST_VOLUME = 40
"""Characters of a path in the name of a volume, which may have 63."""

WITHOUT_PROCESSES = ("solo",)
"""Pools without a number of processes or threads."""


@dataclass(frozen=True)
class Contained:
    """One program, and in how many containers it runs."""

    program: Program
    launch: Launch
    replicas: int = 1

    @property
    def kind(self) -> Kind:
        """Return the kind of the program."""
        return self.program.kind

    @property
    def grace_seconds(self) -> int:
        """Return how long the engine waits after TERM."""
        return stop_timeout_seconds(self.program)

    @property
    def has_heartbeat(self) -> bool:
        """Return whether the probe can judge it."""
        return self.kind is not Kind.COMMAND


def contained(project: Project) -> tuple[Contained, ...]:
    """Return every program of `project`, each instance by itself."""
    return tuple(Contained(program, launch_of(project, program)) for program in project.programs)


def replicated(project: Project) -> tuple[Contained, ...]:
    """Return every program of `project`, with the instances of a worker as replicas of one.

    The instances of a command may differ in their words, so each stays by itself.
    """
    found: dict[str, Contained] = {}
    for each in contained(project):
        program = each.program
        is_worker = isinstance(program.options, Worker) and program.options.instances > 1
        if is_worker and program.key in found:
            first = found[program.key]
            found[program.key] = replace(first, replicas=first.replicas + 1)
        elif is_worker:
            found[program.key] = _without_number(project, program)
        else:
            found[program.name] = each
    return tuple(found.values())


def _without_number(project: Project, program: Program) -> Contained:
    worker = program.options
    assert isinstance(worker, Worker)
    name, at, host = worker.node_name.partition("@")
    number = program.name[len(f"{project.name}-{program.key.partition('.')[2]}") :]
    options = replace(worker, instances=1, node_name=f"{name.removesuffix(number)}{at}{host}")
    alone = replace(program, name=program.name.removesuffix(number), options=options)
    return Contained(alone, launch_of(project, alone))


def agent_files(project: Project, directory: Path) -> tuple[RenderedFile, ...]:
    """Return the launcher and the files beside it, below `directory`."""
    return tuple(
        replace(file, path=directory / file.path.name, owner=None, group=None) for file in launcher_files(project)
    )


def probe_words(project: Project, question: str) -> tuple[str, ...]:
    """Return the command that asks the probe `question`, in the container and environment of a program."""
    return (str(project.virtualenv / "bin" / "python"), "-IS", str(project.directories.library / PROBE), question)


def probe_seconds(project: Project) -> int:
    """Return how long the probe may take: it watches a process with an old heartbeat for two of its intervals."""
    return 2 * project.health.heartbeat_seconds + 5


def volume_name(path: Path) -> str:
    """Return the name of the volume at `path`, which depends on nothing else: data stays where it is mounted.

    A digest makes it unique if the words of the path do not.
    """
    name = words_of(str(path))
    if len(name) <= LONGEST_VOLUME and f"/{name.replace('-', '/')}" == str(path):
        return name
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return f"{name[-LONGEST_VOLUME:]}-{digest}".lstrip("-")


def words_of(text: str) -> str:
    """Return `text` with nothing but the letters, digits and - that a name in an engine may have."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


# What no container can do ---------------------------------------------------------------------------------------------


def problems(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the keys of `project` that fit no container, each with the reason and what to do."""
    for program in project.programs:
        match program.options:
            case Worker(concurrency=None, autoscale=None, pool=pool) if pool not in WITHOUT_PROCESSES:
                yield f"{program.key}.concurrency", NO_CONCURRENCY
            case Command(argv=argv):
                if problem := problem_of(argv, program.environment):
                    yield f"{program.key}.argv", problem


def memory_problems(program: Program, memory: int | None, key: str) -> Iterator[tuple[str, str]]:
    """Yield what needs more than the `memory`, in MiB, of the container of `program`, which `key` sets."""
    restart = program.memory_restart_mib
    if memory and restart and restart >= memory:
        problem = f"{restart} is not below the memory of the container ({memory}): lower it, or set a larger {key}"
        yield f"{program.key}.memory_restart_mib", problem
    worker = program.options
    if not memory or not isinstance(worker, Worker) or not worker.max_memory_per_child_kib:
        return
    each, count = worker.max_memory_per_child_kib, worker.autoscale[0] if worker.autoscale else worker.concurrency
    if isinstance(count, int) and each * (count + 1) > memory * 1024:
        pool = f"{count} pool process{'' if count == 1 else 'es'} of {each} KiB"
        problem = (
            f"{pool} and the main process need {each * (count + 1) // 1024} MiB, and the container may use "
            f"{memory}: the kernel would kill a process before Celery replaces it. Set at most "
            f"{memory * 1024 // (count + 1)}, or a larger {key}"
        )
        yield f"{program.key}.max_memory_per_child_kib", problem


NO_CONCURRENCY = (
    "missing: Celery would start a process for each processor of the node, whatever the container may use: set a "
    'number, or "auto" with Celery 5.7'
)

OF_IMAGE = (
    Rule(
        "project.scope",
        'an image has the paths of a host: set scope = "system", with directory and virtualenv as in the image',
        refused="USER",
    ),
    Rule(
        "program.launcher",
        f"without {LAUNCHER} there is no heartbeat, so no probe can tell whether the program works: remove it",
        refused="False",
    ),
    Rule(examine=problems_of_mounts),
)
"""Refused for an image, however it is run."""

RULES = (
    *OF_IMAGE,
    Rule("program.umask", "no engine sets it: remove it, and set the modes of your volumes", refused=r"^(?!18$)"),
    Rule("program.nice", "no engine sets it: remove it", refused="[^0]"),
    Rule("program.memory_high_mib", "only systemd slows a program down: use memory_max_mib"),
    Rule("program.cpu_weight", "only systemd has it: remove it"),
    Rule(
        "command.stdout",
        "the engine keeps the log of a container: remove it, or set /dev/stdout",
        refused=r"^(?!/dev/std(out|err)$)",
    ),
    Rule(
        "command.stderr",
        "the engine keeps the log of a container: remove it, or set /dev/stderr",
        refused=r"^(?!/dev/std(out|err)$)",
    ),
    Rule(examine=problems),
)
"""What every target refuses that describes how programs run."""
