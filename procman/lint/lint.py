"""Lint files of supervisord, systemd and container engines (`procman check --lint`): lost tasks, orphans, secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.errors import ConfigurationError, ProcmanError
from procman.init.importing.contents import content_of
from procman.init.importing.readers.yaml_documents import yaml_text
from procman.lint.inputs import Finding, LintReport, NotAllRead, Part, Reader
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
YAML = (".yaml", ".yml", ".json")
KUSTOMIZATION = re.compile(r"(?i)kustomization(?:\.ya?ml)?")
DOCKERFILE = re.compile(r"(?i)(?:.*\.)?(?:dockerfile|containerfile)(?:\..*)?")
COMPOSE = re.compile(r"""^(["']?)services\1\s*:""", re.MULTILINE)
KUBERNETES = tuple(re.compile(rf"""^(["']?){key}\1\s*:""", re.MULTILINE) for key in ("apiVersion", "kind"))
IN_JSON = tuple(re.compile(rf'"{key}"\s*:') for key in ("apiVersion", "kind"))
MOST_FILES = 1000
"""In a directory."""
OF_NO_READER = "not a file of supervisord, systemd, Compose, Docker or Kubernetes"
OTHER_FORMATS = "Name a file that starts Celery, such as conf.d/celery.conf. `procman init --from` reads more formats."


def lint(
    files: Sequence[Path],
    accept: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
    root: Path = Path("/"),
) -> LintReport:
    """Judge `files`, with their drop-ins and the files that they include.

    Raises NotAllRead, with the report about the other files, if one cannot be read or has another format. Warnings with
    a code in `accept` are accepted. `environment` is the caller's, used for variables of a supervisord that does not
    run, and `root` the root directory of the host.
    """
    readers, problems = _readers(files)
    hint = OTHER_FORMATS if any(OF_NO_READER in each for each in problems) else ""
    parts, unread = _parts(readers, environment or {}, root)
    if unread and not problems and len(unread) == 1:
        problems, hint = [unread[0].message], unread[0].hint
    else:
        problems += [each.in_one_line for each in unread]
    report = _report(parts, problems, accept)
    if problems:
        raise NotAllRead(report, hint=hint)
    return report


def _report(parts: Sequence[Part], problems: Sequence[str], accept: Collection[str]) -> LintReport:
    found = [_accepted(each) if each.code in accept else each for each in findings(parts, _comments(parts))]
    started = [part for part in parts if part.command and not part.is_group]
    return LintReport(
        tuple(found),
        tuple(part for part in started if part.celery),
        tuple(part for part in started if not part.celery),
        tuple(dict.fromkeys(file for part in parts for file in part.files)),
        tuple(problems),
    )


def _parts(
    readers: Mapping[Path, Reader], environment: Mapping[str, str], root: Path
) -> tuple[list[Part], list[ProcmanError]]:
    """Return what the files define, and the problem of each file that cannot be read."""
    functions: dict[Reader, Callable[[Sequence[Path]], list[Part]]] = {
        Reader.SUPERVISOR: lambda files: supervisor_parts(files, environment, root),
        Reader.SYSTEMD: lambda files: systemd_parts(files, environment, root),
        Reader.COMPOSE: compose_parts,
        Reader.DOCKERFILE: dockerfile_parts,
        Reader.KUBERNETES: kubernetes_parts,
    }
    parts, problems = list[Part](), list[ProcmanError]()
    for reader, read in functions.items():
        found, unread = _readable(read, [file for file, each in readers.items() if each is reader])
        parts += found
        problems += unread
    return parts, problems


def _readable(
    read: Callable[[Sequence[Path]], list[Part]], files: Sequence[Path]
) -> tuple[list[Part], list[ProcmanError]]:
    """Return what `files` define together, without those that cannot be read, and the problems of these."""
    try:
        return read(files), []
    except ProcmanError as error:
        together = error
    readable, problems = [], []
    for file in files if len(files) > 1 else ():
        try:
            read([file])
            readable.append(file)
        except ProcmanError as error:
            problems.append(error)
    if not problems:
        return [], [together]
    found, more = _readable(read, readable)
    return found, [*problems, *more]


def _comments(parts: Sequence[Part]) -> list[Suppression]:
    readers = {file: part.reader for part in parts for file in part.files if not part.unreadable}
    return [each for file, reader in readers.items() for each in suppressions_in(file, _text(file), reader)]


def _text(file: Path) -> str:
    return yaml_text(file) if file.suffix in YAML else content_of(file)


def _accepted(found: Finding) -> Finding:
    return replace(found, level=Level.OK, accepted=True) if found.level is Level.WARNING else found


def _readers(files: Sequence[Path]) -> tuple[dict[Path, Reader], list[str]]:
    """Return what reads each file, by its absolute path, and the problems of those that nothing reads."""
    found, problems = dict[Path, Reader](), list[str]()
    for file, is_named in _expanded(files):
        try:
            reader = _reader(file, _text(file))
        except ProcmanError as error:
            problems.append(error.in_one_line)
            continue
        if reader:
            found[file] = reader
        elif is_named:
            problems.append(_of_another_format(file))
    return found, problems


def _of_another_format(file: Path) -> str:
    if KUSTOMIZATION.fullmatch(file.name):
        return f"{file}: not judged itself; build it: kubectl kustomize {file.parent} > built.yaml, and name built.yaml"
    other = f"; `procman check --config {file}` checks a procman.toml" if file.suffix == ".toml" else ""
    return f"{file}: {OF_NO_READER}{other}"


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
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("{"):
        return Reader.KUBERNETES if all(each.search(text) for each in IN_JSON) else None
    if COMPOSE.search(text):
        return Reader.COMPOSE
    return Reader.KUBERNETES if all(each.search(text) for each in KUBERNETES) else None


def _begins_as_dockerfile(text: str) -> bool:
    lines = (line.split(maxsplit=1) for line in text.splitlines() if not line.lstrip().startswith("#"))
    first = next((words for words in lines if words and words[0].upper() != "ARG"), [])
    return len(first) > 1 and first[0].upper() == "FROM"


def _reader(file: Path, text: str) -> Reader | None:
    if file.suffix == ".toml":
        return None
    if DOCKERFILE.fullmatch(file.name):
        return Reader.DOCKERFILE
    if file.suffix in YAML:
        return None if KUSTOMIZATION.fullmatch(file.name) else _reader_of_yaml(text)
    if _begins_as_dockerfile(text):
        return Reader.DOCKERFILE
    if file.suffix in UNIT_SUFFIXES or UNIT_SECTION.search(text):
        return Reader.SYSTEMD
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", ";"))]
    # supervisord reads a file without a section if it has nothing but comments.
    return Reader.SUPERVISOR if not lines or any(line.startswith("[") for line in lines) else None
