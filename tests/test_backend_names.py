"""Only backends are compared by name: all other code asks their records, so that a new backend needs no search."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from procman.model import BackendName, SupervisorMode
from tests.tables import for_each
from tests.test_layers import Import, imports, module_sources, within

READERS = ("procman.adoption", "procman.init", "procman.lint")
"""The parts that deal with programs which procman did not install, under whatever process manager."""

HOMES = {
    BackendName.__name__: ("procman.backends", "procman.project", *READERS),
    SupervisorMode.__name__: ("procman.backends", "procman.config", *READERS),
}
"""The modules that may name a member: `project` has the default of the key, `config` reads the keys of a mode."""

NAMES = {name.value for name in BackendName}


def violations(module: str, text: str) -> list[str]:
    """Return the decisions by name in `text`, the source of `module`."""
    if not any(word in text for word in ("backend", *HOMES)):  # parsing all modules takes seconds
        return []
    tree = ast.parse(text)
    found = [*_members(module, tree)]
    if not _is_at_home(module, ("procman.backends", *READERS)):
        asking = [node for node in ast.walk(tree) if isinstance(node, ast.expr | ast.stmt) and _asks(node)]
        found += [f"{module}:{node.lineno} asks for a backend by its name" for node in asking]
        found += [str(each) for each in imports({module: text}) if _is_concrete(each)]
    return found


def _is_at_home(module: str, homes: tuple[str, ...]) -> bool:
    return any(within(module, home) for home in homes)


def _members(module: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case (
                ast.Attribute(value=ast.Name(id=enum) | ast.Attribute(attr=enum), attr=member)
                | ast.Subscript(value=ast.Name(id=enum) | ast.Attribute(attr=enum), slice=ast.Constant(value=member))
                | ast.Call(func=ast.Name(id=enum) | ast.Attribute(attr=enum), args=[ast.Constant(value=member)])
            ) if enum in HOMES and not _is_at_home(module, HOMES[enum]):
                yield f"{module}:{node.lineno} names {enum} {member!s}"


def _asks(node: ast.AST) -> bool:
    """Return whether `node` decides by the name of a backend: a comparison, or a lookup in a table."""
    match node:
        case ast.Compare(left=left, comparators=others):
            sides = (left, *others)
            return any(_is_backend(side) for side in sides) and any(_has_name(side) for side in sides)
        case ast.Match(subject=subject):
            return _is_backend(subject)
        case ast.Subscript(slice=key) | ast.Call(func=ast.Attribute(attr="get"), args=[key, *_]):
            return _is_backend(key)
    return False


def _is_backend(node: ast.AST) -> bool:
    """Return whether `node` is a name or a field with `backend` in it, or its value."""
    match node:
        case ast.Attribute(value=inner, attr="value" | "name"):
            return _is_backend(inner)
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Call(func=ast.Name(id=name)):
            return "backend" in name
    return False


def _has_name(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Constant) and each.value in NAMES for each in ast.walk(node))


def _is_concrete(one: Import) -> bool:
    return any(within(one.imported, f"procman.backends.{name}") for name in NAMES)


def test_no_other_module_names_a_backend() -> None:
    assert [each for module, text in module_sources().items() for each in violations(module, text)] == []


@for_each(
    "text",
    [
        "project.backend is BackendName.SYSTEMD",
        "project.backend in (BackendName.SYSTEMD,)",
        "{BackendName.SYSTEMD: 1}",
        "match name:\n    case BackendName.SYSTEMD:\n        pass",
        "name = model.BackendName.SUPERVISOR",
        "BackendName('systemd')",
        "BackendName['SYSTEMD']",
        "manifest.supervisor.mode is SupervisorMode.EXISTING",
        "manifest.backend.value == 'systemd'",
        "'systemd' != project.backend.value",
        "backend in ('supervisor', 'other')",
        "match manifest.backend.value:\n    case 'systemd':\n        pass",
        "{'systemd': 1}[project.backend.value]",
        "TABLE.get(project.backend)",
        "backend_named(project.backend).name == 'systemd'",
        "from procman.backends.systemd import sandbox",
        "def look():\n    import procman.backends.supervisor.client",
        "import_module('procman.backends.systemd.verify')",
    ],
)
def test_decision_by_name_is_found(text: str) -> None:
    assert violations("procman.deploy.prepare", text) != []
    assert violations("procman.backends.systemd.states", text) == []


@pytest.mark.parametrize(
    "text",
    [
        "backend_named(project.backend).has_sandbox",
        "process_manager(current) != process_manager(desired)",
        "current.backend == desired.backend",
        "{'supervisor': SUPERVISOR, 'systemd': SYSTEMD}",
        "parent.name == 'systemd'",
        "from procman.backends import backend_named",
    ],
)
def test_decision_by_record_is_allowed(text: str) -> None:
    assert violations("procman.deploy.prepare", text) == []
