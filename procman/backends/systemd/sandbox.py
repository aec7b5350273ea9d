"""The sandbox profiles: what a program may see and do on the host, with a comment on when to relax each directive.

Omitted on purpose, even from the strict profile: MemoryDenyWriteExecute= breaks just-in-time compilers and some uses of
cffi; ProcSubset=pid hides processors and memory from numpy and psutil; PrivateNetwork= hides the broker; RemoveIPC=
removes the shared memory of every other process of the same user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from procman.backends.base import HiddenPath
from procman.backends.systemd.hidden_paths import binding_lines, hidden_paths
from procman.config.systemd_directives import KNOWN, OF_COMMANDS
from procman.keeper import run_directories
from procman.launch import directory_of
from procman.model import Scope
from procman.project import Beat, Program, Project, Sandbox
from procman.quoting import Encoded
from procman.quoting.systemd import Value, systemd_amount, systemd_bound_paths, systemd_paths, systemd_words

HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
"""The directories that `ProtectHome=` covers (systemd.exec(5))."""

TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108
"""The directories that `PrivateTmp=` covers (systemd.exec(5))."""

_KERNEL = (Path("/dev"), Path("/proc"), Path("/sys"))
"""The directories that `ProtectSystem=strict` leaves writable (systemd.exec(5))."""

_BOUND = ("BindPaths", "BindReadOnlyPaths")
_PATH_LISTS = {name for name, directive in KNOWN.items() if directive.value is Value.PATHS}
"""Lists to which every line adds: a value in procman.toml extends the profile and does not replace it."""

_YES = ("yes",)
_DISCONNECTED = ("disconnected",)


@dataclass(frozen=True)
class Rule:
    """One directive of a profile."""

    name: str
    reason: str
    values: tuple[str, ...] = _YES
    strict: bool = False
    """Whether it belongs to the strict profile only."""


@dataclass(frozen=True)
class Block:
    """Lines of a unit under one comment; the values are already quoted."""

    reason: str
    lines: tuple[tuple[str, Encoded], ...]


_RULES = (
    Rule("NoNewPrivileges", "Setuid programs gain no privileges. Relax this for tasks that call sudo or sendmail."),
    Rule("PrivateDevices", "No access to disks or graphics cards. Relax this for tasks that compute on a GPU."),
    Rule("PrivateMounts", "The host does not see what the program mounts. Nothing in Celery needs this relaxed."),
    Rule("ProtectHostname", "The host name cannot be changed. Nothing in Celery needs this relaxed."),
    Rule("ProtectClock", "The clock cannot be set. Nothing in Celery needs this relaxed."),
    Rule("ProtectKernelTunables", "/proc/sys and /sys are read-only. Nothing in Celery needs this relaxed."),
    Rule("ProtectKernelModules", "Kernel modules cannot be loaded. Nothing in Celery needs this relaxed."),
    Rule("ProtectKernelLogs", "The kernel log is hidden. Nothing in Celery needs this relaxed."),
    Rule("ProtectControlGroups", "Control groups are read-only. Relax this for tasks that start containers."),
    Rule("ProtectProc", "Processes of other users are hidden. Relax this for tasks that monitor them.", ("invisible",)),
    Rule("RestrictNamespaces", "No new namespaces. Relax this for tasks that start a browser or a container."),
    Rule("RestrictRealtime", "No real-time scheduling, which can hang a host. Relax this for audio processing."),
    Rule("RestrictSUIDSGID", "Setuid and setgid files cannot be created. Relax this for tasks that unpack them."),
    Rule(
        "RestrictAddressFamilies",
        "Only Unix, IPv4 and IPv6 sockets. Add AF_NETLINK for tasks that list network interfaces.",
        ("AF_UNIX AF_INET AF_INET6",),
    ),
    Rule(
        "LockPersonality", "The execution domain cannot be changed. Relax this for tasks that emulate another kernel."
    ),
    Rule(
        "KeyringMode", "A private kernel keyring. Relax this for Kerberos tickets in the user's keyring.", ("private",)
    ),
    Rule(
        "CapabilityBoundingSet",
        "No capabilities. To listen on a port below 1024, add CAP_NET_BIND_SERVICE here and in AmbientCapabilities.",
        ("",),
    ),
    Rule(
        "SystemCallArchitectures",
        "Only native system calls; those of another architecture could circumvent the filter.",
        ("native",),
    ),
    Rule(
        "SystemCallFilter",
        "The system calls that services need, as listed by systemd. Relax this if a task fails with EPERM.",
        ("@system-service", "~@privileged"),
    ),
    Rule(
        "PrivateIPC",
        "Private System V shared memory. Relax this for tasks that share it.",
        strict=True,
    ),
    Rule(
        "PrivateUsers",
        "The owners of other users' files are hidden. Relax this for tasks that read them.",
        strict=True,
    ),
    Rule("IPAddressDeny", "Together with the next line: no connections to the Internet ...", ("any",), strict=True),
    Rule(
        "IPAddressAllow",
        '... only to this host and private networks. Add a broker or service outside of them here, or write "any".',
        ("localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7",),
        strict=True,
    ),
)

EPERM = Block(
    "A system call that the filter blocks fails with EPERM, which the task can report, instead of killing the process.",
    (("SystemCallErrorNumber", Encoded("EPERM")),),
)


def blocks(project: Project, program: Program) -> list[Block]:
    """Return the sandbox of `program`: the profile with its overrides, then other directives from procman.toml."""
    asked = _asked(project, program)
    found = []
    if project.systemd.sandbox is not Sandbox.OFF:
        found = [_block(rule, asked) for rule in _rules(project, program) if _available(rule.name, project)]
        if project.scope is Scope.SYSTEM:
            found += _paths(project, program)
    # The template writes the directives that only a command can set.
    done = {name for block in found for name, _ in block.lines} - _PATH_LISTS | {*OF_COMMANDS}
    rest = [line for name, values in asked.items() if name not in done for line in _lines(name, values)]
    return [*found, EPERM, *([Block("Other directives from procman.toml.", tuple(rest))] if rest else [])]


def left_out(project: Project) -> list[str]:
    """Return the directives of the profile that the minimum version, or a user's systemd, does not support."""
    if project.systemd.sandbox is Sandbox.OFF:
        return []
    names = dict.fromkeys(rule.name for program in project.programs for rule in _rules(project, program))
    return [name for name in names if not _available(name, project)]


def writable_paths(project: Project, program: Program) -> list[Path]:
    """Return the paths below which `program` may write, apart from its own directories and a private /tmp.

    The list is sorted, without paths that are below another one.
    """
    paths = set(project.writable_paths)
    if isinstance(program.options, Beat) and program.options.schedule_file:
        paths.add(program.options.schedule_file.parent)
    if _uses_tmp(project, program):
        paths |= set(TEMPORARY)
    return sorted(path for path in paths if not any(other in path.parents for other in paths))


def hidden_interpreter(project: Project, program: Program) -> Path | None:
    """Return the Python that the virtualenv links to on this host if the sandbox of `program` hides it, else None."""
    if project.systemd.sandbox is Sandbox.OFF or project.scope is Scope.USER:
        return None
    hiding = _asked(project, program).get("ProtectHome", _home_rule(project, program).values)
    interpreter = (project.virtualenv / "bin" / "python").resolve()
    seen = _in_homes(project, program) if hiding == ("tmpfs",) else []
    if hiding in (_YES, ("tmpfs",)) and _below(interpreter, HOMES) and not _below(interpreter, seen):
        return interpreter
    return None


def read_only(project: Project, program: Program, paths: Iterable[Path]) -> list[Path]:
    """Return those of `paths`, which `program` writes to now, that its sandbox would make read-only."""
    if project.systemd.sandbox is Sandbox.OFF or project.scope is Scope.USER:
        return []
    own = (
        *run_directories(project, program),
        project.directories.logs / program.name,
        Path("/run") / project.name / program.name,
    )
    writable = (*writable_paths(project, program), *own, *TEMPORARY, *_KERNEL)
    return sorted(path for path in set(paths) if not _below(path, writable))


def hidden(project: Project, program: Program) -> list[HiddenPath]:
    """Return the paths that `program` needs and that its directives in procman.toml hide from it."""
    return hidden_paths(project, program, _asked(project, program))


def bound(project: Project, program: Program, paths: Sequence[HiddenPath]) -> str:
    """Return the lines of procman.toml that bind `paths` for `program`, together with those that are bound already."""
    return binding_lines(program, _asked(project, program), paths)


def _asked(project: Project, program: Program) -> dict[str, tuple[str, ...]]:
    return {**project.systemd.directives, **program.systemd_directives}


def _rules(project: Project, program: Program) -> Iterator[Rule]:
    strict = project.systemd.sandbox is Sandbox.STRICT
    for rule in _RULES:
        if strict or not rule.strict:
            yield rule
    yield Rule(
        "ProtectSystem",
        "The file system is read-only, except for this program's directories and ReadWritePaths.",
        ("strict",),
    )
    yield _home_rule(project, program)
    if _asked(project, program).get("PrivateTmp") == _DISCONNECTED:
        yield Rule("PrivateTmp", "A /tmp and /var/tmp of its own, in memory and emptied at stop.", _DISCONNECTED)
    elif _uses_tmp(project, program):
        yield Rule(
            "PrivateTmp",
            "The host's /tmp, because a path of the project is in it. Move that path elsewhere to get a private /tmp.",
            ("no",),
        )
    else:
        yield Rule(
            "PrivateTmp",
            "A private /tmp, emptied at stop. To exchange files through /tmp, add the directory to writable_paths.",
        )


def _home_rule(project: Project, program: Program) -> Rule:
    if project.systemd.sandbox is Sandbox.DEFAULT:
        return Rule("ProtectHome", "Home directories are read-only, except for writable_paths.", ("read-only",))
    if _in_homes(project, program):
        return Rule("ProtectHome", "Home directories appear empty, except for the paths of the project.", ("tmpfs",))
    return Rule("ProtectHome", "Home directories are hidden. Relax this if the Python interpreter is in one.")


def _paths(project: Project, program: Program) -> Iterator[Block]:
    writable = writable_paths(project, program)
    hidden = project.systemd.sandbox is Sandbox.STRICT
    bound = [path for path in writable if hidden and _below(path, HOMES)]
    plain = [path for path in writable if path not in bound]
    if plain:
        yield Block(
            'If a task fails with "Read-only file system", add the directory to writable_paths.',
            (("ReadWritePaths", systemd_paths(plain)),),
        )
    readable = [path for path in _in_homes(project, program) if path not in bound] if hidden else []
    lines = []
    if readable:
        lines.append(("BindReadOnlyPaths", systemd_bound_paths(readable)))
    if bound:
        lines.append(("BindPaths", systemd_bound_paths(bound)))
    if lines:
        yield Block("The paths of the project that are in a home directory.", tuple(lines))


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
    """Return the paths of the project that a program must be able to read."""
    own = [
        project.directory,
        directory_of(project, program),
        project.virtualenv,
        *project.python_path,
        *project.writable_paths,
    ]
    if isinstance(program.options, Beat) and program.options.schedule_file:
        own.append(program.options.schedule_file.parent)
    return own


def _in_homes(project: Project, program: Program) -> list[Path]:
    paths = {path for path in _read(project, program) if _below(path, HOMES)}
    return sorted(path for path in paths if not any(other in path.parents for other in paths))


def _uses_tmp(project: Project, program: Program) -> bool:
    # Without a private /tmp, the host's must be writable: Celery does not start without a temporary directory.
    relaxed = _asked(project, program).get("PrivateTmp", _YES) not in (_YES, _DISCONNECTED)
    return relaxed or any(_below(path, TEMPORARY) for path in _read(project, program))


def _below(path: Path, tops: Sequence[Path]) -> bool:
    return any(path == top or top in path.parents for top in tops)
