"""What runs a process is named as the key `adopts` names it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from procman.adoption.running import source_of
from procman.host.process import arguments
from procman.host.runner import Runner
from procman.sources import PROCFILE, Source
from tests.product import eventually


@pytest.mark.parametrize(
    ("words", "file"),
    [([], "Procfile"), (["-d", "deploy"], "deploy/Procfile"), (["-f", "Procfile.dev"], "Procfile.dev")],
    ids=["default", "root", "file"],
)
def test_procfile_is_that_of_the_options_of_its_honcho(tmp_path: Path, words: list[str], file: str) -> None:
    honcho = tmp_path / "honcho"
    honcho.write_text("import time; time.sleep(1000)\n")
    with subprocess.Popen(["/usr/bin/python3", honcho, "start", *words], cwd=tmp_path) as process:
        try:
            eventually(lambda: str(honcho) in arguments(process.pid), "honcho runs")
            found = source_of(Runner(program="web.1", manager=process.pid, is_honcho=True))
        finally:
            process.kill()
    assert found == Source(PROCFILE, str(tmp_path / file), "web")
