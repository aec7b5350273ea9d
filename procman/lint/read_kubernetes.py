"""Read the containers in Kubernetes manifests, also those that Helm rendered, for the rules of `check --lint`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from procman.init.importing.readers.yaml_documents import YamlDocument, YamlPath, yaml_documents, yaml_text
from procman.lint.inputs import Container, Part, Probe, Reader, Recognised, Setting
from procman.lint.read_containers import started_in_container
from procman.model import Kind

TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template", "spec"),
    "StatefulSet": ("spec", "template", "spec"),
    "DaemonSet": ("spec", "template", "spec"),
    "ReplicaSet": ("spec", "template", "spec"),
    "Pod": ("spec",),
}
"""Where each kind has its pod."""

DEFAULT_GRACE_SECONDS = 30.0
REFERENCE = re.compile(r"\$\([^)]*\)")
VARIABLE = re.compile(r"[A-Za-z_][\w.-]*")
CONTAINERS = ("containers", "initContainers")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def kubernetes_parts(files: Sequence[Path]) -> list[Part]:
    """Return every container in `files` that is to keep running; raise ProcmanError for a file that is no YAML."""
    return [part for file in files for one in yaml_documents(file, yaml_text(file)) for part in _of_document(file, one)]


def _of_document(file: Path, document: YamlDocument) -> Iterator[Part]:
    for path, found in _objects(document.content):
        if found["kind"] == "ConfigMap":
            yield _config_map(file, document.lines, path, found)
            continue
        where = TEMPLATES[found["kind"]]
        for key in CONTAINERS:
            for number, container in enumerate(_list(_at(found, *where, key))):
                if isinstance(container, Mapping):
                    at = (*path, *where, key, number)
                    yield _Reader(file, document.lines, path, found, at, container).part()


def _objects(content: Any) -> Iterator[tuple[YamlPath, Mapping[str, Any]]]:
    """Yield each ConfigMap and each object with a pod, with its path, those of a List in its place.

    Aliases may make a List part of itself, or multiply its items without end, so each object counts once.
    """
    waiting: list[tuple[YamlPath, Any]] = [((), content)]
    seen: set[int] = set()
    while waiting:
        path, found = waiting.pop()
        if not isinstance(found, Mapping) or id(found) in seen:
            continue
        seen.add(id(found))
        kind = found.get("kind")
        if kind == "List":
            waiting += reversed(
                [((*path, "items", number), item) for number, item in enumerate(_list(found.get("items")))]
            )
        elif isinstance(kind, str) and kind in (*TEMPLATES, "ConfigMap"):
            yield path, found


def _config_map(file: Path, lines: Mapping[YamlPath, int], path: YamlPath, found: Mapping[str, Any]) -> Part:
    """Return the variables in a ConfigMap; an entry of several lines is a file."""
    data = found.get("data")
    variables = {
        str(name): Setting("data", str(value), file, lines.get((*path, "data", str(name)), 1))
        for name, value in (data.items() if isinstance(data, Mapping) else ())
        if VARIABLE.fullmatch(str(name)) and "\n" not in str(value).strip()
    }
    name = f"ConfigMap/{_at(found, 'metadata', 'name')}"
    return Part(Reader.KUBERNETES, file, lines.get((*path, "data"), 1), name, files=(file,), variables=variables)


class _Reader:
    def __init__(
        self,
        file: Path,
        lines: Mapping[YamlPath, int],
        root: YamlPath,
        found: Mapping[str, Any],
        path: YamlPath,
        container: Any,
    ) -> None:
        self.file, self.lines, self.root, self.object, self.path = file, lines, root, found, path
        self.container = container

    def part(self) -> Part:
        words = [str(word) for key in ("command", "args") for word in _list(self.container.get(key))]
        name = f"{self.object['kind']}/{_at(self.object, 'metadata', 'name')}"
        environment = {
            str(each.get("name")): str(each.get("value", ""))
            for each in _list(self.container.get("env"))
            if isinstance(each, Mapping)
        }
        key = "args" if "args" in self.container else "command"
        started = started_in_container(str(self.container.get("name")), words, environment)
        container = self._container(words, environment)
        command = self._setting((*self.path, key), " ".join(words)) if words else None
        asked = next((probe for probe in container.probes if not words and "celery" in " ".join(probe.words)), None)
        if asked:
            # The command is that of the image; a probe that asks Celery shows what it is.
            started, command = Recognised(Kind.WORKER), asked.setting
        return Part(
            Reader.KUBERNETES,
            self.file,
            self._line(self.path),
            f"{name}/{self.container.get('name')}",
            files=(self.file,),
            command=command,
            started=started,
            variables=self._variables(),
            container=container,
        )

    def _variables(self) -> dict[str, Setting]:
        return {
            str(each.get("name")): Setting(
                "env", REFERENCE.sub("", str(each["value"])), self.file, self._line((*self.path, "env", number))
            )
            for number, each in enumerate(_list(self.container.get("env")))
            if isinstance(each, Mapping) and each.get("value") is not None
        }

    def _container(self, words: Sequence[str], environment: Mapping[str, str]) -> Container:
        where = TEMPLATES[self.object["kind"]]
        grace = _at(self.object, *where, "terminationGracePeriodSeconds")
        at = self._setting((*self.root, *where, "terminationGracePeriodSeconds"), str(grace))
        strategy = _at(self.object, "spec", "strategy", "type")
        replicas = _at(self.object, "spec", "replicas")
        return Container(
            words=tuple(words),
            default_grace_seconds=DEFAULT_GRACE_SECONDS,
            grace=at if isinstance(grace, int) else None,
            grace_seconds=float(grace) if isinstance(grace, int) else None,
            probes=tuple(self._probes()),
            environment=environment,
            controller=self.object["kind"],
            strategy=self._setting((*self.root, "spec", "strategy", "type"), str(strategy)) if strategy else None,
            replicas=replicas if isinstance(replicas, int) else 1,
        )

    def _probes(self) -> Iterator[Probe]:
        for name in PROBES:
            words = tuple(str(word) for word in _list(_at(self.container, name, "exec", "command")))
            if words:
                yield Probe(self._setting((*self.path, name), " ".join(words)), words)

    def _setting(self, path: YamlPath, value: str) -> Setting:
        return Setting(str(path[-1]), value, self.file, self._line(path))

    def _line(self, path: YamlPath) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def _at(value: Any, *path: str | int) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
