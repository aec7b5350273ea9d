"""Each file of procman/agent/ and each script of procman/probes/ runs on Python 3.6 and without procman."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from procman import agent, probes
from procman.agent import BESIDE_LAUNCHER, LAUNCHER
from procman.preflight.gather import PATH_SOURCES
from procman.probes.app import CHECK_SOURCES
from procman.probes.broker import LOOK_SOURCES
from procman.probes.broker import SOURCES as BROKER_SOURCES

PROBES = (CHECK_SOURCES, BROKER_SOURCES, LOOK_SOURCES, PATH_SOURCES)
LAUNCHER_FILE = Path(agent.__file__).with_name(LAUNCHER)
SCRIPTS = sorted(Path(probes.__file__).parent.glob("*_script.py"))
FILES = [*sorted(Path(agent.__file__).parent.glob("*.py")), *SCRIPTS, CHECK_SOURCES[0]]
BEFORE_SCRIPT = {file: {each.stem for each in sources} for sources in PROBES for file in sources}


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), file.name, feature_version=(3, 6))


def test_syntax_is_that_of_python_36() -> None:
    for file in FILES:
        _tree(file)


@pytest.mark.parametrize("sources", PROBES, ids=["app", "broker", "look", "paths"])
def test_a_script_does_not_redefine_what_the_text_before_it_defines(sources: tuple[Path, ...]) -> None:
    """A probe is one text."""
    trees = [_tree(file) for file in sources]
    defined = [node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert len(defined) == len(set(defined))


def test_only_the_standard_library_is_imported() -> None:
    assert {file.name: names for file in FILES if (names := _imported(file) - sys.stdlib_module_names)} == {}


def _imported(file: Path) -> set[str]:
    imported = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # One of the texts before that of the script.
            precedes = (node.module or "").rpartition(".")[2] in BEFORE_SCRIPT.get(file, ())
            imported |= set() if precedes else {(node.module or "").partition(".")[0]}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{file.name}:{node.lineno} imports from procman"
            names = [node.module] if node.module else [alias.name for alias in node.names]
            assert {f"{name}.py" for name in names} <= set(BESIDE_LAUNCHER), (
                f"{file.name}:{node.lineno} imports a file that is not installed beside the launcher"
            )
    return imported


IMPORT = """
import os, pathlib, runpy, sys, traceback

def run(file):
    if file.parent.name == "agent" and file.stem not in ("__init__", "launcher"):
        import_beside(file.stem)
    else:
        # billiard imports the main module again, under this name, in children that it does not fork.
        runpy.run_path(str(file), run_name="__mp_main__")

launcher, *names = sys.argv[1:]
import_beside = runpy.run_path(launcher)["import_beside"]
for name in names:
    child = os.fork()
    if child == 0:
        try:
            run(pathlib.Path(name))
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_import_has_no_effect(python: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [python, "-W", "error", "-c", IMPORT, LAUNCHER_FILE, *FILES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
