"""The process files of public deployments become the projects that their `deployment.toml` describes."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from procman.celery_cli.parse import read_command
from tests.init.deployments import Deployment, deployments, put_on_disk

ALL = deployments()
EACH = pytest.mark.parametrize("deployment", ALL, ids=lambda deployment: deployment.name)


@EACH
def test_every_expected_command_is_one_of_celery(deployment: Deployment) -> None:
    for program in deployment.programs:
        command = read_command(shlex.split(program["celery"]))
        assert command is not None, program
        assert (command.doubtful, command.dropped) == ({}, {})


@EACH
def test_everything_that_is_imported_exists(deployment: Deployment, tmp_path: Path) -> None:
    put_on_disk(deployment.name, tmp_path)
    assert deployment.sources
    assert [name for name in deployment.sources if not (tmp_path / name).exists()] == []
