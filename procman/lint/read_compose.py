"""Read the services of compose files into the records that the rules of `check --lint` judge."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from procman.init.importing.contents import content_of
from procman.init.importing.readers.compose_file import VARIABLE, Compose, load_all, override_of, pairs
from procman.init.importing.readers.read_compose import DEFAULT_GRACE, seconds_of
from procman.init.importing.readers.yaml_documents import YamlDocument, yaml_documents
from procman.lint.find_celery import is_open
from procman.lint.inputs import Container, Part, Probe, Reader, Setting
from procman.lint.read_containers import started_in_container
from procman.lint.surroundings import flattened

SURROUNDINGS = ("image", "build", "working_dir", "env_file", "networks", "configs", "secrets", "volumes", "platform")

SHELL = ("/bin/sh", "-c")


def compose_parts(files: Sequence[Path]) -> list[Part]:
    """Return the services in `files`, with those that they extend; raise ProcmanError for a file that is none."""
    own = [file for file in files if file not in map(override_of, files)]
    return [part for file in own for part in _parts(file)]


def _parts(file: Path) -> list[Part]:
    compose, read_with = load_all(file)
    documents = {each: yaml_documents(each, content_of(each))[0] for each in read_with}
    return [_Service(compose, name, documents).part() for name in compose.services]


class _Service:
    def __init__(self, compose: Compose, name: str, documents: Mapping[Path, YamlDocument]) -> None:
        # The overrides are last.
        self.compose, self.name, self.documents, self.files = compose, name, documents, tuple(documents)
        self.lines = documents[compose.path].lines
        self.service = compose.service(name)

    def part(self) -> Part:
        words = [*self._words("entrypoint"), *self._words("command")]
        environment = {name: self.compose.text(value) for name, value in pairs(self.service.get("environment")).items()}
        at = "command" if "command" in self.service else "entrypoint"
        command = self._setting(at, " ".join(words))
        return Part(
            Reader.COMPOSE,
            self.compose.path,
            self.compose.lines.get(self.name, 1),
            self.name,
            files=self.files,
            open_files=frozenset(filter(is_open, (*self.files, self._extended()))),
            command=command if words else None,
            variables=self._variables(),
            started=started_in_container(self.name, words, environment),
            container=self._container(words, environment),
        )

    def _container(self, words: Sequence[str], environment: dict[str, str]) -> Container:
        grace, signal = self._given("stop_grace_period"), self._given("stop_signal")
        deploy = self.service.get("deploy")
        replicas = (deploy.get("replicas") if isinstance(deploy, dict) else None) or self.service.get("scale")
        count = self.compose.text(replicas)
        return Container(
            words=tuple(words),
            entry_point=self._setting("entrypoint", " ".join(self._words("entrypoint"))),
            default_grace_seconds=DEFAULT_GRACE,
            grace=grace,
            grace_seconds=seconds_of(grace.value) if grace else None,
            stop_signal=signal,
            probes=tuple(self._probes()),
            environment=environment,
            replicas=int(count) if re.fullmatch("[0-9]{1,9}", count) else 1,
            starts=not self.service.get("profiles") and not _is_none(deploy, self.service),
            surroundings=flattened([self.service.get(key) for key in SURROUNDINGS]),
        )

    def _probes(self) -> list[Probe]:
        check = self.service.get("healthcheck")
        test = check.get("test") if isinstance(check, dict) and not _is_true(check.get("disable")) else None
        words = probe_words(test if isinstance(test, list) else [] if test is None else ["CMD-SHELL", test])
        words = tuple(self.compose.text(word) for word in words)
        return [Probe(self._setting("healthcheck", " ".join(words)), words)] if words else []

    def _words(self, key: str) -> list[str]:
        value = self.service.get(key)
        if isinstance(value, list):
            return [self.compose.text(each) for each in value]
        try:
            return shlex.split(self.compose.text(value))
        except ValueError:
            return []

    def _given(self, key: str) -> Setting | None:
        value = self.service.get(key)
        return None if value is None else self._setting(key, self.compose.text(value))

    def _variables(self) -> dict[str, Setting]:
        """Return the variables that the files set, without what compose fills in from the shell or `.env`."""
        return {
            name: Setting("environment", VARIABLE.sub("", str(value)), *self._place(name))
            for name, value in pairs(self.service.get("environment")).items()
            if value is not None
        }

    def _place(self, variable: str) -> tuple[Path, int]:
        """Return the file and the line that set `variable`."""
        for file, document in reversed(list(self.documents.items())):
            line = _line_of(variable, self.name, document)
            if line:
                return file, line
        extended = self._extended()
        return extended, self.compose.lines.get(self.name, 1) if extended == self.compose.path else 1

    def _extended(self) -> Path:
        """Return the file whose service it extends; usually its own."""
        given = self.compose.services[self.name]
        extends = given.get("extends") if isinstance(given, Mapping) else None
        file = extends.get("file") if isinstance(extends, Mapping) else None
        return self.compose.path.parent / self.compose.text(file) if file else self.compose.path

    def _setting(self, key: str, value: str) -> Setting:
        line = self.lines.get(("services", self.name, key)) or self.compose.lines.get(self.name, 1)
        return Setting(key, value, self.compose.path, line)


def _is_none(deploy: Any, service: Mapping[str, Any]) -> bool:
    return 0 in (deploy.get("replicas") if isinstance(deploy, dict) else None, service.get("scale"))


def _line_of(variable: str, service: str, document: YamlDocument) -> int | None:
    """Return the line that sets `variable` in `service`; None if another file or service sets it."""
    given = document.content["services"].get(service)
    written = given.get("environment") if isinstance(given, Mapping) else None
    names = list(pairs(written))
    if variable not in names:
        return None
    at = ("services", service, "environment")
    entry = variable if isinstance(written, Mapping) else names.index(variable)
    return next((document.lines[path] for path in ((*at, entry), at, at[:2]) if path in document.lines), 1)


def _is_true(value: object) -> bool:
    return str(value).lower() == "true"


def probe_words(test: Sequence[Any]) -> tuple[str, ...]:
    """Return the command of a health check in the words of Compose; empty if it is switched off."""
    words = [str(word) for word in test]
    match words[:1]:
        case ["CMD"]:
            return tuple(words[1:])
        case ["CMD-SHELL"]:
            return (*SHELL, " ".join(words[1:]))
        case _:
            return ()
