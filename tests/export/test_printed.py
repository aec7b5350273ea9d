"""`procman export` without --output prints every manifest, and of the agent only where it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from procman.cli.main import run
from tests.export.projects import FULL


def test_only_the_agent_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "procman.toml").write_text(FULL.replace("[worker.manual]", "[worker.my-agent-x]"))
    assert run(["--config", str(tmp_path / "procman.toml"), "export", "kubernetes"]) == 0
    output = capsys.readouterr().out
    assert "==> shop-my-agent-x.yaml (0644)\n# Written by procman" in output
    assert output.count("\n(the launcher and the files beside it") == output.count("==> shop-agent-") > 0
    assert len(output) < 60_000
