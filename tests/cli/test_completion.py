"""Completion in a real bash: commands, programs, projects, generations; and nothing when there is nothing to find."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from procman.cli.main import COMMANDS, run
from tests.contracts.conftest import product
from tests.product import Product

__all__ = ["product"]

BASH = """
procman() {{ {procman} "$@"; }}
export -f procman
source /dev/stdin <<< "$(procman completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_procman_completion {executable}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete(line: str, directory: Path, environment: dict[str, str]) -> list[str]:
    """Return what bash offers for the last word of `line`."""
    directory.joinpath("procman").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m procman "$@"\n')
    directory.joinpath("procman").chmod(0o755)
    executable = shlex.quote(str(directory / "procman"))
    words = " ".join(shlex.quote(word) for word in line.split(" "))
    script = BASH.format(procman=executable, executable=executable, words=words)
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [word for word in done.stdout.split("\n") if word]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_calls_procman(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert f"_PROCMAN_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


@pytest.mark.supervisord
def test_names_of_installed_programs_and_projects_are_completed(product: Product) -> None:
    sleeps = "\n".join(f'[command.{name}]\nargv = ["sleep", "1000"]\nlauncher = false' for name in ("crop", "cut"))
    product.configure(sleeps)
    product.procman("install")
    product.configure(sleeps.replace("1000", "1001"))
    product.procman("install")

    def offered(line: str) -> list[str]:
        found = {**product.environment, "PROCMAN_CONFIG": str(product.configuration)}
        return complete(line, product.directory, found)

    assert offered("procman re") == [name for name in COMMANDS if name.startswith("re")]
    for command in ("start", "stop", "restart", "status", "health", "events", "hold", "release", "logs", "run"):
        assert offered(f"procman {command} c") == ["crop", "cut"], command
    assert offered("procman restart crop c") == ["cut"]
    assert offered("procman restart catmaid-") == ["catmaid-crop", "catmaid-cut"]
    for line in ("procman --project ", "procman status --project ", "procman stop crop --project c"):
        assert offered(line) == ["catmaid"], line
    assert offered("procman stop --project catmaid c") == ["crop", "cut"]
    assert offered("procman rollback ") == ["2", "1"]
    assert offered("procman diff --generation ") == ["2", "1"]
    assert offered("procman explain pm30")[0] == "pm301"


def test_nothing_is_completed_or_printed_without_a_project(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PROCMAN_CONFIG": str(tmp_path / "missing.toml")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    assert complete("procman restart ", tmp_path, environment) == []
    assert complete("procman rollback ", tmp_path, environment) == []
    assert complete("procman restrat ", tmp_path, environment) == []
