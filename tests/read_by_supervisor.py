"""Read a file with supervisor's own parser, in every supported version."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from tests.celery_environments import CACHE, RUNNING_PYTHON, make_virtualenv

NEWEST = version("supervisor")
"""The virtualenv of the tests has the newest version."""

OLDER = sorted({"4.2.5", "4.3.0"} - {NEWEST})
VERSIONS = (NEWEST, *(pytest.param(version, marks=pytest.mark.versions) for version in OLDER))

MAIN = "[supervisord]\n[include]\nfiles = conf.d/*.conf\n"
MAIN_SECTIONS = ["supervisord", "include"]


@dataclass(frozen=True)
class Reader:
    """A running `supervisor_reader`; its module describes the answers."""

    process: subprocess.Popen[str]

    def read(self, included: str, *, main: str = MAIN, directories: Iterable[str | Path] = ()) -> dict[str, Any]:
        """Return the answer for `included`, a file that `main` includes; `directories` are created first."""
        assert self.process.stdin
        assert self.process.stdout
        question = {"main": main, "included": included, "directories": [str(path) for path in directories]}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


@contextmanager
def reader(desired: str) -> Iterator[Reader]:
    """Run the reader of one version of supervisor."""
    with subprocess.Popen(
        [_python_with(desired), Path(__file__).parent / "supervisor_reader.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"},
        text=True,
    ) as process:
        yield Reader(process)
        assert process.stdin
        process.stdin.close()


def _python_with(desired: str) -> Path:
    if desired == NEWEST:
        return Path(sys.executable)
    directory = CACHE / f"supervisor-{desired}"
    # 4.2.5 reads its version with pkg_resources, which later versions of setuptools lack.
    make_virtualenv(directory, RUNNING_PYTHON, (f"supervisor=={desired}", "setuptools<81"))
    return directory / "bin" / "python"
