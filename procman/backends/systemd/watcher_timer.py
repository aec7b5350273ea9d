"""The watcher under systemd: a timer and the service that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from procman.backends.systemd import sandbox
from procman.backends.watcher import watcher_argv, watcher_name
from procman.config.systemd_directives import KNOWN
from procman.host.unit_names import target_name
from procman.launch import marker, owner_of
from procman.model import Scope
from procman.project import Project, RenderedFile, Sandbox
from procman.quoting import Encoded
from procman.quoting.systemd import systemd_words
from procman.templating import Templates

LOOK_SECONDS = 300
"""No check takes this long, even if the broker does not answer and commands of on_event run."""

POWERS = "CAP_KILL CAP_SYS_PTRACE CAP_DAC_READ_SEARCH CAP_SETUID CAP_SETGID"
"""To signal other users' processes, see their memory and open files, and switch to the programs' user."""

SANDBOX = {
    "NoNewPrivileges": "yes",
    # Not strict, and no ProtectHome: the check would report paths as read-only that are so only for itself.
    "ProtectSystem": "full",
    "PrivateDevices": "yes",
    "ProtectHostname": "yes",
    "ProtectClock": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "LockPersonality": "yes",
    "CapabilityBoundingSet": POWERS,
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
    "SystemCallErrorNumber": "EPERM",
}


def timer_name(project: Project) -> str:
    """Return the name of the timer."""
    return f"{watcher_name(project)}.timer"


def watcher_files(project: Project, templates: Templates) -> Iterator[RenderedFile]:
    """Yield both units, or nothing if healing is off."""
    argv, name, owner = watcher_argv(project), watcher_name(project), owner_of(project)
    if argv is None:
        return
    values = {
        "marker": marker(project),
        "name": name,
        "description": f"Monitor and heal the programs of {project.name}",
        "target": target_name(project.name),
        "interval": project.health.interval_seconds,
        "timeout": LOOK_SECONDS,
        "argv": argv,
        "state": project.directories.state,
        "sandbox": _sandbox(project),
    }
    for unit in (f"{name}.service", timer_name(project)):
        text = templates.render(f"systemd/health{Path(unit).suffix}.j2", values)
        path = project.directories.units / unit
        yield RenderedFile(path, text, 0o644, owner, owner, (name,), section=True)


def _sandbox(project: Project) -> list[tuple[str, Encoded]]:
    """Return the lines of the sandbox; empty in user scope, because a user's systemd supports almost none of them."""
    if project.scope is Scope.USER or project.systemd.sandbox is Sandbox.OFF:
        return []
    known = {name: KNOWN[name].since <= project.systemd.minimum_version for name in SANDBOX if name in KNOWN}
    lines = {name: value for name, value in SANDBOX.items() if known.get(name, True)}
    own = (project.directory, project.virtualenv, *project.python_path)
    is_temporary = any(top == path or top in path.parents for path in own for top in sandbox.TEMPORARY)
    lines["PrivateTmp"] = "no" if is_temporary else "yes"
    return [(name, systemd_words(value)) for name, value in lines.items()]
