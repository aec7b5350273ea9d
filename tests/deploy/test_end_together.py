"""Programs that an install removes are stopped in parallel."""

from __future__ import annotations

import pytest

from procman.deploy.stopping import end_together
from procman.model import Action, Activation
from tests.backends.supervisor.real_supervisord import Supervisord, eventually, installed
from tests.backends.test_backends import manifest

pytestmark = pytest.mark.supervisord


def test_removed_programs_stop_in_parallel_and_others_keep_running(supervisord: Supervisord) -> None:
    going = ("a", "b", "c")
    for name in (*going, "stays"):
        supervisord.worker(name, task_seconds=1)
    supervisord.start()
    eventually(lambda: all("ready" in supervisord.events(name) for name in (*going, "stays")))
    activations = [Activation(Action.REMOVE, installed(name)) for name in (*going, "never-loaded")]
    activations.append(Activation(Action.RESTART, installed("stays")))
    end_together(manifest("one"), supervisord.controller(), activations, lambda _: None)
    assert [supervisord.events(name)[-1] for name in going] == ["finished"] * 3
    assert max(supervisord.moment(name, "term") for name in going) < min(
        supervisord.moment(name, "finished") for name in going
    )
    assert supervisord.events("stays") == ["start", "ready"]
