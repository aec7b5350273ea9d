"""What Kubernetes cannot do with a project, and the numbers that its manifests depend on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from procman.backends.record import Rule
from procman.export.containers import RULES as OF_CONTAINERS
from procman.export.containers import Contained, memory_problems, replicated
from procman.model import Kind
from procman.project import Command, Program, Project, Worker

CAPS = {"fargate": 120}
"""The longest stop, in seconds, that a platform allows."""

NEWEST = "1.37"
"""The newest version of Kubernetes whose schemas the manifests were checked with."""

LONGEST_OF_BEAT = 52
"""Characters of the name of a StatefulSet: its pods get a label with the name and a hash."""

LONGEST_LINE = 65_000
"""Bytes of a variable in the file of a configMapGenerator: Kustomize stops reading at a line of 64 KiB (bufio.Scanner
of Go)."""

SECRET_KEY = re.compile(r"[A-Za-z0-9._-]+")


def since(project: Project, version: str) -> bool:
    """Return whether every supported version of Kubernetes has what `version` added."""
    return _minor(project.kubernetes.version) >= _minor(version)


def is_newer(project: Project) -> bool:
    """Return whether the version is newer than `NEWEST`."""
    return _minor(project.kubernetes.version) > _minor(NEWEST)


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def grace_seconds(project: Project, each: Contained) -> int:
    """Return `terminationGracePeriodSeconds`."""
    cap = CAPS.get(project.kubernetes.platform or "")
    return min(each.grace_seconds, cap) if cap else each.grace_seconds


def memory_mib(project: Project, program: Program) -> int | None:
    """Return the memory of the container of `program`."""
    return program.kubernetes.memory_mib or program.memory_max_mib or project.kubernetes.memory_mib


def problems(project: Project) -> Iterator[tuple[str, str]]:
    """Yield the keys of `project` that Kubernetes cannot follow, each with the reason and what to do."""
    if project.name.endswith("-"):
        yield "project.name", "it ends with -, and a name in Kubernetes ends with a letter or digit: rename it"
    for program in project.programs:
        yield from _of_program(project, program)
    for each in replicated(project):
        yield from _of_name(each)


def _of_program(project: Project, program: Program) -> Iterator[tuple[str, str]]:
    cap, limit = CAPS.get(project.kubernetes.platform or ""), program.stop_timeout_seconds
    if cap and limit > cap:
        problem = (
            f"{project.kubernetes.platform} kills a container {cap} seconds after TERM, whatever a manifest sets, and "
            f"{limit} are set: use another platform for tasks of this length, or set at most {cap}"
        )
        yield f"{program.key}.stop_timeout_seconds", problem
    file = program.options.environment_file if isinstance(program.options, Command) else None
    file = file or project.environment_file
    if file and not SECRET_KEY.fullmatch(file.name):
        yield "project.environment_file", "the key of a Secret has only letters, digits and . _ -: rename the file"
    yield from _of_environment(project, program)
    yield from _of_scaling(project, program)
    if isinstance(program.options, Worker):
        yield from _of_worker(project, program, program.options)


def _of_scaling(project: Project, program: Program) -> Iterator[tuple[str, str]]:
    if program.kubernetes.max_replicas is None:
        return
    key = f"{program.key}.kubernetes.max_replicas"
    if not (isinstance(program.options, Worker) and program.options.queues):
        yield key, "only a worker with the key queues is scaled: remove it, or set queues"
    elif project.kubernetes.keda_broker is None:
        yield key, "only KEDA scales: remove it, or set keda_broker in [kubernetes]"


def _of_worker(project: Project, program: Program, worker: Worker) -> Iterator[tuple[str, str]]:
    yield from memory_problems(program, memory_mib(project, program), "memory_mib")
    if not re.search("%[hn]", worker.node_name):
        problem = (
            f"a rollout runs two pods at once, and both would be {worker.node_name}: put %h into it, which is the name "
            "of the pod"
        )
        yield f"{program.key}.hostname", problem
    if project.kubernetes.keda_broker == "redis" and worker.queues and worker.prefetch_multiplier != 1:
        problem = "KEDA counts the length of a list, which prefetched messages are no longer part of: set 1"
        yield f"{program.key}.prefetch_multiplier", problem


def _of_environment(project: Project, program: Program) -> Iterator[tuple[str, str]]:
    for name, value in program.environment.items():
        length = len(f"{name}={value}".encode())
        if length > LONGEST_LINE:
            problem = (
                f"{length} bytes: Kustomize would drop this variable and those after it, without an error. Put the "
                "value into a file of the image"
            )
            is_common = all(other.environment.get(name) == value for other in project.programs)
            yield f"{'' if is_common else f'{program.key}.'}environment.{name}", problem


def _of_name(each: Contained) -> Iterator[tuple[str, str]]:
    name = each.program.name
    if name.endswith("-"):
        yield each.program.key, f"{name} ends with -, and a name in Kubernetes ends with a letter or digit: rename it"
    if each.kind is Kind.BEAT and len(name) > LONGEST_OF_BEAT:
        problem = f"the name {name} of beat may have {LONGEST_OF_BEAT} characters in Kubernetes: shorten it"
        yield "project.name", problem


RULES = (
    *OF_CONTAINERS,
    Rule("program.tasks_max", "the kubelet limits processes (podPidsLimit), no manifest does: remove it"),
    Rule("command.user", "every container runs as user_id of [kubernetes], not as {value}: remove it"),
    Rule("command.group", "every container runs as group_id of [kubernetes], not as {value}: remove it"),
    Rule(
        "command.stop_signal",
        "Kubernetes sends TERM, or the STOPSIGNAL of the image: remove it, and put STOPSIGNAL into an image for this "
        "command",
        refused="^(?!TERM$)",
    ),
    Rule(examine=problems),
)
"""What this target refuses."""
