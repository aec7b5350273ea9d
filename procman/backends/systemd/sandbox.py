"""What a program may see and do of the host, by profile; every line says what it does and when to relax it.

Left out on purpose, also of the strict profile: MemoryDenyWriteExecute= breaks compilers at run time and some uses of
cffi; ProcSubset=pid hides processors and memory from numpy and psutil; PrivateNetwork= hides the broker; RemoveIPC=
removes the shared memory of everything else that runs as the same user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.config.systemd_directives import KNOWN
from procman.model import Scope
from procman.project import Beat, Program, Project, Sandbox
from procman.quoting import Encoded
from procman.quoting.systemd import Value, systemd_amount, systemd_bound_paths, systemd_paths, systemd_words

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""What `ProtectHome=` is about (systemd.exec(5))."""

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
"""What `PrivateTmp=` is about (systemd.exec(5))."""

_KERNEL = (Path("/dev"), Path("/proc"), Path("/sys"))
"""What `ProtectSystem=strict` leaves as it is (systemd.exec(5))."""

_BOUND = ("BindPaths", "BindReadOnlyPaths")
_PATH_LISTS = {name for name, directive in KNOWN.items() if directive.value is Value.PATHS}
"""Lists that grow with every line: what procman.toml adds takes nothing away."""


_YES = ("yes",)


@dataclass(frozen=True)
class Rule:
    """One directive of a profile."""

    name: str
    reason: str
    values: tuple[str, ...] = _YES
    strict: bool = False
    """Only in the strict profile."""


@dataclass(frozen=True)
class Block:
    """Lines of a unit under one comment; what stands behind the `=` is ready to be written."""

    reason: str
    lines: tuple[tuple[str, Encoded], ...]


_RULES = (
    Rule("NoNewPrivileges", "No setuid program gains it rights. Relax it for tasks that call sudo or sendmail."),
    Rule("PrivateDevices", "No disks, no graphics card. Relax it for tasks that compute on a GPU."),
    Rule("PrivateMounts", "What it mounts, the host does not see. Nothing in Celery needs it relaxed."),
    Rule("ProtectHostname", "The host's name cannot be changed. Nothing in Celery needs it relaxed."),
    Rule("ProtectClock", "The clock cannot be set. Nothing in Celery needs it relaxed."),
    Rule("ProtectKernelTunables", "/proc/sys and /sys are read-only. Nothing in Celery needs it relaxed."),
    Rule("ProtectKernelModules", "No kernel modules are loaded. Nothing in Celery needs it relaxed."),
    Rule("ProtectKernelLogs", "The kernel's log is out of sight. Nothing in Celery needs it relaxed."),
    Rule("ProtectControlGroups", "Control groups are read-only. Relax it for tasks that start containers."),
    Rule(
        "ProtectProc", "Processes of other users are out of sight. Relax it for tasks that watch them.", ("invisible",)
    ),
    Rule("RestrictNamespaces", "No namespaces of its own. Relax it for tasks that start a browser or a container."),
    Rule("RestrictRealtime", "No scheduling in real time, which can hang a host. Relax it for sound and the like."),
    Rule("RestrictSUIDSGID", "No setuid or setgid files are made. Relax it for tasks that unpack such archives."),
    Rule(
        "RestrictAddressFamilies",
        "Local sockets and the Internet's protocols. Add AF_NETLINK for tasks that list network interfaces.",
        ("AF_UNIX AF_INET AF_INET6",),
    ),
    Rule("LockPersonality", "Programs run as this kernel's own. Relax it for tasks that emulate another."),
    Rule("KeyringMode", "A kernel keyring of its own. Relax it for Kerberos tickets kept in the user's.", ("private",)),
    Rule(
        "CapabilityBoundingSet",
        "None of root's powers. A port below 1024 needs CAP_NET_BIND_SERVICE, here and in AmbientCapabilities.",
        ("",),
    ),
    Rule("SystemCallArchitectures", "No programs for another processor, which the filter would not see.", ("native",)),
    Rule(
        "SystemCallFilter",
        "The system calls that a service needs, by systemd's own lists. Relax it when a task fails with EPERM.",
        ("@system-service", "~@privileged"),
    ),
    Rule("PrivateIPC", "System V shared memory of its own. Relax it for tasks that share it.", strict=True),
    Rule(
        "PrivateUsers",
        "Files of other users seem to belong to nobody. Relax it for tasks that look at owners.",
        strict=True,
    ),
    Rule("IPAddressDeny", "With the next line: hosts on the Internet cannot be reached ...", ("any",), strict=True),
    Rule(
        "IPAddressAllow",
        '... only this host and private networks. For a broker or a service outside, add it here, or write "any".',
        ("localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",),
        strict=True,
    ),
)

EPERM = Block(
    "What the filter refuses is an error that the task reports, not its death.",
    (("SystemCallErrorNumber", Encoded("EPERM")),),
)


def blocks(project: Project, program: Program) -> list[Block]:
    """Return what stands in the unit of PROGRAM: the profile with its overrides, then what else was asked for."""
    asked = _asked(project, program)
    found = []
    if project.systemd.sandbox is not Sandbox.OFF:
        found = [_block(rule, asked) for rule in _rules(project, program) if _available(rule.name, project)]
        if project.scope is Scope.SYSTEM:
            found += _paths(project, program)
    done = {name for block in found for name, _ in block.lines} - _PATH_LISTS
    rest = [line for name, values in asked.items() if name not in done for line in _lines(name, values)]
    return [*found, EPERM, *([Block("As procman.toml says.", tuple(rest))] if rest else [])]


def left_out(project: Project) -> list[str]:
    """Return the directives of the profile that the project's systemd, or the manager of a user, cannot do."""
    if project.systemd.sandbox is Sandbox.OFF:
        return []
    names = dict.fromkeys(rule.name for program in project.programs for rule in _rules(project, program))
    return [name for name in names if not _available(name, project)]


def writable_paths(project: Project, program: Program) -> list[Path]:
    """Return the paths below which PROGRAM may write, other than its own directories and a private /tmp; the shortest
    list, in order."""
    paths = set(project.writable_paths)
    if isinstance(program.options, Beat) and program.options.schedule_file:
        paths.add(program.options.schedule_file.parent)
    if _uses_tmp(project, program):
        paths |= set(TEMPORARY)
    return sorted(path for path in paths if not any(other in path.parents for other in paths))


def hidden_interpreter(project: Project, program: Program) -> Path | None:
    """Return the Python that the virtualenv links to on this host, if the sandbox of PROGRAM hides it."""
    if project.systemd.sandbox is Sandbox.OFF or project.scope is Scope.USER:
        return None
    hiding = _asked(project, program).get("ProtectHome", _home_rule(project, program).values)
    interpreter = (project.virtualenv / "bin" / "python").resolve()
    seen = _in_homes(project, program) if hiding == ("tmpfs",) else []
    if hiding in (_YES, ("tmpfs",)) and _below(interpreter, HOMES) and not _below(interpreter, seen):
        return interpreter
    return None


def read_only(project: Project, program: Program, paths: Iterable[Path]) -> list[Path]:
    """Return those of PATHS, which PROGRAM writes to now, that its sandbox would keep it from."""
    if project.systemd.sandbox is Sandbox.OFF or project.scope is Scope.USER:
        return []
    own = (
        project.directories.run(program.name),
        project.directories.logs / program.name,
        Path("/run") / project.name / program.name,
    )
    writable = (*writable_paths(project, program), *own, *TEMPORARY, *_KERNEL)
    return sorted(path for path in set(paths) if not _below(path, writable))


def _asked(project: Project, program: Program) -> dict[str, tuple[str, ...]]:
    return {**project.systemd.directives, **program.systemd_directives}


def _rules(project: Project, program: Program) -> Iterator[Rule]:
    strict = project.systemd.sandbox is Sandbox.STRICT
    for rule in _RULES:
        if strict or not rule.strict:
            yield rule
    yield Rule("ProtectSystem", "The file system is read-only but for the paths named below.", ("strict",))
    yield _home_rule(project, program)
    if _uses_tmp(project, program):
        yield Rule(
            "PrivateTmp",
            "The host's own /tmp: a path of the project is in it. Move that elsewhere to have a private one.",
            ("no",),
        )
    else:
        yield Rule(
            "PrivateTmp",
            "A /tmp of its own, emptied at stop. To exchange files through /tmp, name the directory in writable_paths.",
        )


def _home_rule(project: Project, program: Program) -> Rule:
    if project.systemd.sandbox is Sandbox.DEFAULT:
        return Rule("ProtectHome", "Home directories are read-only but for writable_paths.", ("read-only",))
    if _in_homes(project, program):
        return Rule("ProtectHome", "Home directories seem empty but for what the project has there.", ("tmpfs",))
    return Rule("ProtectHome", "Home directories are out of sight. Relax it for a Python interpreter in one.")


def _paths(project: Project, program: Program) -> Iterator[Block]:
    writable = writable_paths(project, program)
    hidden = project.systemd.sandbox is Sandbox.STRICT
    bound = [path for path in writable if hidden and _below(path, HOMES)]
    plain = [path for path in writable if path not in bound]
    if plain:
        yield Block(
            'What tasks write elsewhere fails with "Read-only file system": name the directory in writable_paths.',
            (("ReadWritePaths", systemd_paths(plain)),),
        )
    readable = [path for path in _in_homes(project, program) if path not in bound] if hidden else []
    lines = []
    if readable:
        lines.append(("BindReadOnlyPaths", systemd_bound_paths(readable)))
    if bound:
        lines.append(("BindPaths", systemd_bound_paths(bound)))
    if lines:
        yield Block("What the project has in a home directory.", tuple(lines))


def _block(rule: Rule, asked: Mapping[str, tuple[str, ...]]) -> Block:
    return Block(rule.reason, tuple(_lines(rule.name, asked.get(rule.name, rule.values))))


def _lines(name: str, values: tuple[str, ...]) -> list[tuple[str, Encoded]]:
    match KNOWN[name].value:
        case Value.PATHS:
            return [(name, systemd_bound_paths(values) if name in _BOUND else systemd_paths(values))]
        case Value.AMOUNT:
            return [(name, systemd_amount(value)) for value in values]
        case Value.WORDS:
            return [(name, systemd_words(value)) for value in values]


def _available(name: str, project: Project) -> bool:
    directive = KNOWN[name]
    return directive.since <= project.systemd.minimum_version and (directive.user or project.scope is Scope.SYSTEM)


def _read(project: Project, program: Program) -> list[Path]:
    """Return the paths of the project that a program must see."""
    own = [project.directory, project.virtualenv, *project.python_path, *project.writable_paths]
    if isinstance(program.options, Beat) and program.options.schedule_file:
        own.append(program.options.schedule_file.parent)
    return own


def _in_homes(project: Project, program: Program) -> list[Path]:
    paths = {path for path in _read(project, program) if _below(path, HOMES)}
    return sorted(path for path in paths if not any(other in path.parents for other in paths))


def _uses_tmp(project: Project, program: Program) -> bool:
    # Without a private one, the host's must be writable: Celery does not start without a temporary directory.
    relaxed = _asked(project, program).get("PrivateTmp", _YES) != _YES
    return relaxed or any(_below(path, TEMPORARY) for path in _read(project, program))


def _below(path: Path, tops: Sequence[Path]) -> bool:
    return any(path == top or top in path.parents for top in tops)
