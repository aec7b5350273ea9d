"""Imports point only downwards, and each library is imported in one place, so that changes stay local."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.tables import for_each

PACKAGE = Path(__file__).parent.parent / "procman"

LAYERS = (
    ("__main__",),
    ("cli",),
    ("output",),
    ("preflight",),
    ("lint",),
    ("deploy", "init"),
    ("monitoring",),
    ("adoption",),
    ("lookup",),
    ("backends.supervisor", "backends.systemd", "export"),
    ("monitoring.checks",),
    ("keeper",),
    ("host", "launch", "probes", "templating"),
    ("config",),
    ("backends",),
    ("install.plan",),
    ("install.state",),
    ("install", "install.safe_fs"),
    ("background", "celery_cli", "program_names", "quoting", "subprocesses"),
    ("project",),
    ("accounts", "agent", "errors", "left_behind", "model", "pages", "secrets", "sources", "suggest", "version"),
    ("records",),
)
"""From the top down; a part of a package that is named here is a separate layer. Neighbours do not import each other.

`backends` means the modules directly in that package, the records; it finds the packages of the backends by name.
"""

DEPTHS = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}

HOMES = {
    "click": "procman.cli",
    "jinja2": "procman.templating",
    "psutil": "procman.host",
    "subprocess": "procman.subprocesses",
    "supervisor": "procman.backends.supervisor",
    "yaml": "procman.init.importing",
}
"""The only part that may import each library."""

ELSEWHERE = {"tomli": "procman.config"}
"""A backport of the standard library, for an older Python."""


class Import(NamedTuple):
    """An import of `imported` on line `line` of `module`; both are dotted names."""

    module: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.imported}"


def module_sources() -> dict[str, str]:
    paths = [path for path in PACKAGE.rglob("*.py") if "templates" not in path.parts]
    return {_module(path): path.read_text(encoding="utf-8") for path in paths}


def _module(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(sources: dict[str, str]) -> Iterator[Import]:
    for module, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            for imported in _names(module, node, sources):
                yield Import(module, getattr(node, "lineno", 0), imported)


def _names(module: str, node: ast.AST, sources: Iterable[str]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=base, names=names, level=1) if within(module, "procman.agent"):
            # They are installed beside the launcher and import each other by their bare names.
            yield from (f".{base or alias.name}" for alias in names)
        case ast.ImportFrom(module=None, names=names) | ast.ImportFrom(module=str(), level=1 | 2 | 3, names=names):
            yield "a relative name"
        case ast.ImportFrom(module=str(base), names=names):
            # `from procman import backends` imports procman.backends; `from procman.model import Kind` procman.model.
            yield from (f"{base}.{alias.name}" if f"{base}.{alias.name}" in sources else base for alias in names)
        case ast.Call(func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"), args=[first, *_]):
            # The launcher can import Celery only in this way.
            if isinstance(first, ast.Constant) and within(str(first.value), "procman"):
                yield str(first.value)


def _part(module: str) -> str:
    """Return the name of the layer of `module`, such as `install.plan`, or else its package below procman."""
    names = module.split(".")[1:]
    nested = ".".join(names[:2])
    return nested if nested in DEPTHS else ".".join(names[:1])


def within(module: str, home: str) -> bool:
    return module == home or module.startswith(f"{home}.")


def _against_the_layers(one: Import) -> bool:
    if not within(one.imported, "procman") or one.module == "procman":
        return False
    importer, imported = _part(one.module), _part(one.imported)
    if importer == imported or not imported:
        return False
    return DEPTHS.get(importer, len(LAYERS)) >= DEPTHS.get(imported, -1)


def _away_from_home(one: Import) -> bool:
    homes = [home for name, home in HOMES.items() if within(one.imported, name)]
    return any(not within(one.module, home) for home in homes)


def _unknown_library(one: Import) -> bool:
    name = one.imported.split(".")[0]
    # tomllib is in the standard library from Python 3.11 on.
    known = {"", "procman", "tomllib", *HOMES, *sys.stdlib_module_names}
    return name not in known and not within(one.module, ELSEWHERE.get(name, "nowhere"))


def _foreign_inside(one: Import) -> bool:
    name = one.imported.split(".")[0]
    return within(one.module, "procman.agent") and name not in {"", *sys.stdlib_module_names}


RULES = (_against_the_layers, _away_from_home, _unknown_library, _foreign_inside)


def _violations(sources: dict[str, str]) -> list[str]:
    return sorted({str(each) for each in imports(sources) for rule in RULES if rule(each)})


def test_imports_point_downwards_and_libraries_have_one_home() -> None:
    assert _violations(module_sources()) == []


def test_every_part_has_a_layer() -> None:
    assert {_part(module) for module in module_sources()} - {""} == set(DEPTHS)


@for_each(
    ("module", "text"),
    [
        ("procman.model", "from procman.errors import ProcmanError"),
        ("procman.model", "import procman.config.load"),
        ("procman.config.load", "from procman.templating import Templates"),
        ("procman.config.load", "from procman import templating"),
        ("procman.config.load", "def load():\n    from procman import templating"),
        ("procman.config.load", "if TYPE_CHECKING:\n    from procman.launch import launch_of"),
        ("procman.templating", "from procman.launch import launch_of"),
        ("procman.monitoring.checks.process_state", "from procman.backends.systemd.states import state_of"),
        ("procman.backends.base", "from procman.backends.systemd.states import state_of"),
        ("procman.install.plan.plan", "import procman.backends.supervisor.renderer"),
        ("procman.monitoring.status", "from procman.output import table"),
        ("procman.monitoring.status", "from procman.cli.main import run"),
        ("procman.config.load", "importlib.import_module('procman.cli.main')"),
        ("procman.config.load", "from ..templating import Templates"),
        ("procman.config.load", "from . import keys"),
        ("procman.brand_new", "import procman.model"),
        ("procman.config.load", "import procman.brand_new"),
        ("procman.output.table", "import click"),
        ("procman.backends.supervisor.renderer", "from jinja2 import Environment"),
        ("procman.monitoring.status", "import psutil"),
        ("procman.backends.systemd.controller", "import subprocess"),
        ("procman.monitoring.checks.process_state", "from subprocess import run"),
        ("procman.backends.systemd.controller", "import supervisor.options"),
        ("procman.config.load", "import yaml"),
        ("procman.subprocesses", "import tomli"),
        ("procman.agent.launcher", "from procman.errors import ProcmanError"),
        ("procman.agent.launcher", "import celery"),
        ("procman.agent.heartbeat", "from procman.agent import verdict"),
        ("procman.agent.heartbeat", "from .. import model"),
        ("procman.agent.launcher", "importlib.import_module('procman.errors')"),
    ],
)
def test_violation_is_found(module: str, text: str) -> None:
    sources = dict.fromkeys(["procman.templating", "procman.backends", "procman.brand_new"], "") | {module: text}
    assert len(_violations(sources)) == 1


@for_each(
    ("module", "text"),
    [
        ("procman.cli.status", "import click\nfrom procman.output import table\nfrom procman.monitoring import status"),
        ("procman.monitoring.status", "from procman.install.plan.plan import plan\nfrom procman.model import Project"),
        ("procman.deploy.install", "from procman.deploy.prepare import prepare"),
        ("procman.config.load", "import tomllib\nimport tomli\nfrom procman.config import keys, value_types"),
        ("procman.host.process_table", "import psutil\nfrom procman.subprocesses import capture"),
        ("procman.backends.supervisor.verify", "from supervisor.options import ServerOptions"),
        ("procman.probes.app_script", "import json, os\nfrom importlib import import_module"),
        ("procman.agent.heartbeat", "from . import verdict\nfrom .sd_notify import Systemd"),
        ("procman", "from procman.version import VERSION"),
        ("procman.launch", "from procman.celery_cli import write"),
    ],
)
def test_allowed_import_is_accepted(module: str, text: str) -> None:
    assert _violations({"procman.celery_cli.write": "", module: text}) == []
