"""The values of a pod template: command, variables, probes, volumes and what the container may do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from procman.export.containers import Contained, probe_seconds, probe_words, volume_name, words_of
from procman.export.kubernetes.agent import AgentMap
from procman.export.kubernetes.rules import grace_seconds, memory_mib, since
from procman.export.mounts import TEMPORARY, schedule_directory
from procman.model import Kind
from procman.project import Project

EVICTED_AFTER_SECONDS = 600
"""The cluster autoscaler waits no longer than this for a pod of a node that it removes (--max-graceful-termination-sec,
its default)."""

USER_ID = 1000
"""The user of most images that have one."""

STARTUP_PERIOD_SECONDS = 5
STARTUP_SECONDS = 600
"""How long the import of the app may take."""

LIVENESS_GRACE_SECONDS = 60
"""After TERM, for a frozen beat, which never reacts to it. The pool of a frozen worker may be running tasks, which
have the whole grace period to finish, as on a host."""


def common_environment(programs: Sequence[Contained]) -> dict[str, str]:
    """Return the variables of `[environment]` that all of `programs` have, with their values."""
    environments = [each.program.environment for each in programs]
    first = environments[0] if environments else {}
    of_launch = {"PATH", "LANG", "PYTHONUNBUFFERED"}
    return {
        name: value
        for name, value in sorted(first.items())
        if name not in of_launch and all(other.get(name) == value for other in environments)
    }


def pod(project: Project, each: Contained, common: Mapping[str, str], maps: Sequence[AgentMap]) -> dict[str, object]:
    """Return the values for the pod template of `each`."""
    settings, program = project.kubernetes, each.program
    memory = memory_mib(project, program)
    return {
        "program": program.name,
        "kind": each.kind.value,
        "image": settings.image or project.name,
        "argv": each.launch.argv,
        "directory": each.launch.directory,
        "variables": _variables(each, common).items(),
        "has_common": bool(common),
        "grace": grace_seconds(project, each),
        "stays": grace_seconds(project, each) > EVICTED_AFTER_SECONDS,
        "user": settings.user_id or USER_ID,
        "group": settings.group_id,
        "memory": f"{memory}Mi" if memory else None,
        "cpu": _cpu(project, each),
        "probes": _probes(project, each) if each.has_heartbeat else None,
        **_volumes(project, each, maps),
    }


def _variables(each: Contained, common: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in each.launch.environment.items() if common.get(name) != value}
    # The root of the image is read-only, and a home directory in it too.
    return own if "HOME" in own or "HOME" in common else own | {"HOME": str(TEMPORARY)}


def _cpu(project: Project, each: Contained) -> str | None:
    millicores = each.program.kubernetes.cpu_millicores or project.kubernetes.cpu_millicores
    return f"{millicores}m" if millicores else None


def _probes(project: Project, each: Contained) -> dict[str, object]:
    health = project.health
    return {
        "startup": probe_words(project, "startup"),
        "live": probe_words(project, "live"),
        "ready": probe_words(project, "ready"),
        "startup_period": STARTUP_PERIOD_SECONDS,
        "startup_failures": math.ceil(max(STARTUP_SECONDS, 10 * each.program.start_seconds) / STARTUP_PERIOD_SECONDS),
        "interval": health.interval_seconds,
        "failures": health.failures,
        "timeout": probe_seconds(project),
        "grace": _grace_of_liveness(project, each),
    }


def _grace_of_liveness(project: Project, each: Contained) -> int | None:
    if each.kind is not Kind.BEAT or not since(project, "1.25"):
        return None
    return min(LIVENESS_GRACE_SECONDS, grace_seconds(project, each))


def _volumes(project: Project, each: Contained, maps: Sequence[AgentMap]) -> dict[str, object]:
    """Return the mounts: everything else is read-only."""
    claims = {path: volume_name(path) for path in project.writable_paths}
    file = each.launch.environment_file
    return {
        "agent": project.directories.library,
        "maps": [one.name for one in maps],
        "run": project.directories.run(each.program.name),
        "temporary": None if TEMPORARY in claims else TEMPORARY,
        "schedule": schedule_directory(project, each.program),
        "claims": [(f"data-{name}", path, f"{project.name}-{name}") for path, name in claims.items()],
        "secret": _secret(project, file) if file else None,
    }


def _secret(project: Project, file: Path) -> dict[str, object]:
    # A command may have a file of the same name in another directory.
    name = words_of(file.name) if file == project.environment_file else volume_name(file)
    return {"name": f"{project.name}-{name}", "key": file.name, "path": file}
