"""The descendants of a process, as listed by the kernel, or by psutil if it does not."""

from __future__ import annotations

import subprocess

import psutil
import pytest

from procman.host import process_tree
from procman.host.process_tree import children_finder, tree_of


@pytest.fixture(params=[True, False], ids=["listed by the kernel", "psutil"])
def lists_children(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param and not process_tree.LISTS_CHILDREN:
        pytest.skip("this kernel does not list children in /proc")
    monkeypatch.setattr(process_tree, "LISTS_CHILDREN", request.param)


@pytest.mark.usefixtures("lists_children")
def test_children_of_every_thread_and_their_children_belong_to_the_tree(family: int) -> None:
    pids = tree_of(family, children_finder())
    assert sorted(pids) == sorted({family, *(child.pid for child in psutil.Process(family).children(recursive=True))})
    assert len(pids) == 4


@pytest.mark.usefixtures("lists_children")
def test_ended_process_has_no_children() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert tree_of(process.pid, children_finder()) == [process.pid]
