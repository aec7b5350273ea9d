"""Lint files of supervisord, systemd and container engines (`procman check --lint`): lost tasks, orphans, secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.errors import ConfigurationError, ProcmanError
from procman.init.importing.contents import content_of
from procman.lint.inputs import Finding, LintReport, Part, Reader
from procman.lint.read_compose import compose_parts
from procman.lint.read_dockerfile import dockerfile_parts
from procman.lint.read_kubernetes import kubernetes_parts
from procman.lint.read_supervisor import supervisor_parts
from procman.lint.read_systemd import systemd_parts
from procman.lint.registry import findings
from procman.lint.suppressions import Suppression, suppressions_in
from procman.model import Level

UNIT_SUFFIXES = (".service", ".target", ".timer", ".socket", ".path", ".mount", ".slice")
UNIT_SECTION = re.compile(r"^\[(Unit|Service|Install)\]\s*$", re.MULTILINE)
IN_DIRECTORIES = (".conf", ".ini", ".service", ".yaml", ".yml")
DOCKERFILE = re.compile(r"(?i)(?:.*\.)?(?:dockerfile|containerfile)(?:\..*)?")
COMPOSE = re.compile(r"^services:", re.MULTILINE)
KUBERNETES = (re.compile(r"^apiVersion:", re.MULTILINE), re.compile(r"^kind:", re.MULTILINE))
MOST_FILES = 1000
"""In a directory."""


def lint(
    files: Sequence[Path],
    accept: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    root: Path = Path("/"),
) -> LintReport:
    """Judge `files`, with their drop-ins and the files that they include; raise ConfigurationError for other files.

    Warnings with a code in `accept` are accepted. `environment` is the caller's, used for variables of a supervisord
    that does not run, and `root` the root directory of the host.
    """
    parts = _parts(_readers(files), environment or {}, root)
    found = [_accepted(each) if each.code in accept else each for each in findings(parts, _comments(parts))]
    started = [part for part in parts if part.command and not part.is_group]
    return LintReport(
        tuple(found),
        tuple(part for part in started if part.celery),
        tuple(part for part in started if not part.celery),
        tuple(dict.fromkeys(file for part in parts for file in part.files)),
    )


def _parts(readers: Mapping[Path, Reader], environment: Mapping[str, str], root: Path) -> list[Part]:
    files = {reader: [file for file, each in readers.items() if each is reader] for reader in Reader}
    try:
        return [
            *supervisor_parts(files[Reader.SUPERVISOR], environment, root),
            *systemd_parts(files[Reader.SYSTEMD], environment, root),
            *compose_parts(files[Reader.COMPOSE]),
            *dockerfile_parts(files[Reader.DOCKERFILE]),
            *kubernetes_parts(files[Reader.KUBERNETES]),
        ]
    except ProcmanError as error:
        raise ConfigurationError([error.message], hint=error.hint) from None


def _comments(parts: Sequence[Part]) -> list[Suppression]:
    readers = {file: part.reader for part in parts for file in part.files if not part.unreadable}
    return [each for file, reader in readers.items() for each in suppressions_in(file, content_of(file), reader)]


def _accepted(found: Finding) -> Finding:
    return replace(found, level=Level.OK, accepted=True) if found.level is Level.WARNING else found


def _readers(files: Sequence[Path]) -> dict[Path, Reader]:
    """Return what reads each file, by its absolute path. Raises ConfigurationError with the problems of all of them."""
    found, problems = {}, []
    for file, is_named in _expanded(files):
        try:
            reader = _reader(file, content_of(file))
        except ProcmanError as error:
            problems.append(error.in_one_line)
            continue
        if reader:
            found[file] = reader
        elif is_named:
            other = f"; `procman check --config {file}` checks a procman.toml" if file.suffix == ".toml" else ""
            problems.append(f"{file}: not a file of supervisord, systemd, Compose, Docker or Kubernetes{other}")
    if problems:
        hint = "Name a file that starts Celery, such as conf.d/celery.conf. `procman init --from` reads more formats."
        raise ConfigurationError(problems, hint=hint)
    return found


def _expanded(files: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """Yield `files`, those of a directory in its place, each with whether it is named."""
    for file in files:
        path = file.absolute()
        if path.is_dir():
            yield from ((each, False) for each in _in_directory(path))
        else:
            yield path, True


def _in_directory(directory: Path) -> list[Path]:
    try:
        found = [path for path in sorted(directory.iterdir()) if _is_candidate(path) and path.is_file()]
    except OSError as error:
        raise ConfigurationError([f"{directory}: cannot be read: {error.strerror}"]) from None
    if len(found) > MOST_FILES:
        raise ConfigurationError([f"{directory}: more than {MOST_FILES} files"], hint="Name the files that run Celery.")
    return found


def _is_candidate(path: Path) -> bool:
    return path.suffix in IN_DIRECTORIES or DOCKERFILE.fullmatch(path.name) is not None


def _reader_of_yaml(text: str) -> Reader | None:
    if COMPOSE.search(text):
        return Reader.COMPOSE
    return Reader.KUBERNETES if all(each.search(text) for each in KUBERNETES) else None


def _reader(file: Path, text: str) -> Reader | None:
    if file.suffix == ".toml":
        return None
    if DOCKERFILE.fullmatch(file.name):
        return Reader.DOCKERFILE
    if file.suffix in (".yaml", ".yml"):
        return _reader_of_yaml(text)
    if file.suffix in UNIT_SUFFIXES or UNIT_SECTION.search(text):
        return Reader.SYSTEMD
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", ";"))]
    # supervisord reads a file without a section if it has nothing but comments.
    return Reader.SUPERVISOR if not lines or any(line.startswith("[") for line in lines) else None
