"""Find the processes of a script by the pid files that it names, without running it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from glob import escape
from itertools import islice
from pathlib import Path

from procman.celery_cli.running import arguments_of, subcommand
from procman.host.celery_processes import mains_among
from procman.host.process import users_of
from procman.host.process_table import Process
from procman.install.safe_fs.untrusted_file import UntrustedFile, read_untrusted

LONGEST = 64 * 1024
MOST_FILES = 200
MOST_DIGITS = 20
ROOT = 0

DEFAULTS = ("/etc/default", "/etc/sysconfig", "/etc/conf.d")
"""Where a script's settings are, in a file of its own name: Debian, Red Hat, Gentoo."""

BEAT = re.compile(r"\bbeat\b")
SETTINGS = re.compile(r"/etc/(?:default|sysconfig|conf\.d)/[\w.@-]+")
ASSIGNMENT = re.compile(r"^\s*(?:export\s+)?(\w+)=[\"']?([^\s\"'#;]*)", re.MULTILINE)
PID_FILE = re.compile(r"[^\s\"'=;:]*/[^\s\"'=;]*\.pid\b")
VARIABLE = re.compile(r"\$\{?(\w+)(?::?[-=]([^}]*))?\}?")
NODE = re.compile(r"%[nhidI]")
"""What `celery multi` replaces in the name of a pid file."""


def mains_by_pid_files(script: Path) -> list[Process]:
    """Return the workers or beats whose pid files `script`, or its file of settings, names.

    The service user can write a pid file, so it counts only if it names a worker or beat of the file's owner (S3).
    """
    text = _text(script)
    # A script without `celery multi` that names beat runs a beat; both may share a file of settings.
    kind, others = ("beat", "CELERYD_") if "multi" not in text and BEAT.search(text) else ("worker", "CELERYBEAT_")
    settings = "".join(_text(Path(name)) for name in sorted(set(_settings(script, text))))
    settings = "".join(line for line in settings.splitlines(keepends=True) if others not in line)
    names = PID_FILE.findall(settings) or PID_FILE.findall(text)
    values = dict(reversed(ASSIGNMENT.findall(settings + text)))
    found = {main.pid: main for path in _paths(names, values) for main in _mains(path)}
    return [main for main in found.values() if _kind(main) in ("", kind)]


def _settings(script: Path, text: str) -> list[str]:
    return [f"{directory}/{script.name}" for directory in DEFAULTS] + SETTINGS.findall(text)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(LONGEST).decode("utf-8", "replace") + "\n"
    except OSError:
        return ""


def _paths(names: Iterable[str], values: Mapping[str, str]) -> Iterator[Path]:
    """Yield the existing pid files that `names` mean, with their variables; each node has its own (`%n`)."""
    for name in sorted(set(names)):
        pattern = NODE.sub("*", "%n".join(escape(part) for part in _expanded(name, values).split("%n")))
        if pattern.startswith("/") and "$" not in pattern:
            yield from islice(Path("/").glob(pattern.lstrip("/")), MOST_FILES)


def _expanded(text: str, values: Mapping[str, str]) -> str:
    for _ in range(5):
        text = VARIABLE.sub(lambda found: values.get(found[1]) or found[2] or found[0], text)
    return text


def _mains(path: Path) -> list[Process]:
    try:
        content = read_untrusted(path, None, MOST_DIGITS)
        pid = int(content or 0)
        # Only the pid shows who may own the file; meanwhile, its directory's owner can put another one in its place.
        is_unchanged = read_untrusted(path, {ROOT, *users_of(pid)}, MOST_DIGITS) == content
    except (UntrustedFile, ValueError):
        return []
    return [main for main in mains_among([pid]) if main.pid == pid] if is_unchanged and pid > 1 else []


def _kind(main: Process) -> str:
    return subcommand(arguments_of(main.argv))
