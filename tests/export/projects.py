"""Projects for tests of the export, and what the export of each contains."""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from procman.config.load import load
from procman.export import target_named
from procman.project import Project, Rendering
from tests.config.documents import HOME

ROOT = Path(__file__).parents[2]

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The agent's files are long, and the loader in Python takes a second for them."""

README = re.search(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

FULL = """[project]
name = "shop"
app = "shop"
directory = "/srv/shop"
virtualenv = "/srv/env"
user = "www-data"
environment_file = "/etc/shop/secrets.env"
writable_paths = ["/srv/media", "/var/cache/media"]

[environment]
PRICE = "5 $ or $(MORE) \\"each\\""
SAME = "x"

[worker.celery]
concurrency = 2
memory_max_mib = 700
instances = 3

[worker.slow]
queues = ["slow", "slower"]
concurrency = 4
max_memory_per_child_kib = 100_000
stop_timeout_seconds = 7200

[worker.slow.environment]
SAME = "other"

[worker.slow.kubernetes]
memory_mib = 1024
cpu_millicores = 500
max_replicas = 6

[worker.manual]
pool = "solo"
autostart = false
stop_timeout_seconds = 30

[command.flower]
argv = ["celery", "-A", "shop", "flower", "--port=$(PORT)"]

[beat]

[kubernetes]
image = "registry.example.org/shop:1"
keda_broker = "rabbitmq"
egress_ports = [5672, 5432]
"""
"""Every kind of program, and a value for everything that changes the result."""


def project(directory: Path, text: str, target: str) -> Project:
    """Return the project of a procman.toml with the content `text`, as read for `target`."""
    path = directory / "procman.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, HOME, target=target_named(target))


@cache
def rendering(text: str, target: str) -> Rendering:
    """Render the export of a procman.toml, once for all tests."""
    return rendered(text, target)


def rendered(text: str, target: str) -> Rendering:
    """Render it again."""
    with tempfile.TemporaryDirectory() as directory:
        return target_named(target).render(project(Path(directory), text, target))


def export(text: str, target: str) -> dict[str, str]:
    """Return the files of the export by their paths."""
    assert not rendering(text, target).directories
    return {str(file.path.relative_to("/")): file.content for file in rendering(text, target).files}


def manifests(files: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every Kubernetes object in `files`, with the name of its file."""
    for name, text in files.items():
        if name.endswith(".yaml") and Path(name).name != "kustomization.yaml":
            yield from ((name, copy.deepcopy(each)) for each in _documents(text))


@cache
def _documents(text: str) -> list[dict[str, Any]]:
    return list(yaml.load_all(text, Loader=LOADER))


def objects(files: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return every Kubernetes object in `files` by its kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for _, each in manifests(files)}


def readme() -> str:
    """Return the procman.toml of the README, for CATMAID."""
    assert README is not None
    return README[1]


def expanded(value: Any) -> Any:
    """Return the strings of `value` as Compose and Kubernetes expand them when they know no variable."""
    match value:
        case str():
            return value.replace("$$", "$")
        case list():
            return [expanded(each) for each in value]
        case dict():
            return {name: expanded(each) for name, each in value.items()}
    return value
