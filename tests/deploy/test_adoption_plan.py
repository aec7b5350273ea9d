"""Which existing programs an install adopts after an interruption (R2, R12)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.config.load import load
from procman.deploy.adoption_plan import plan_adoptions
from procman.install.safe_fs.tree import Tree
from procman.install.state.generations import Generation, Installation
from procman.install.state.manifest import Pending
from procman.model import Adopted, Link
from tests.install import sample


@pytest.mark.parametrize("is_back", [True, False], ids=["runs again", "is still away"])
def test_what_an_interrupted_uninstall_brought_back_is_adopted_again(tmp_path: Path, is_back: bool) -> None:
    """Even if no file shows it, as with a masked unit; the record of its links is kept for the next uninstall."""
    main = tmp_path / "supervisord.conf"
    section = "[program:old]\ncommand=/bin/sleep 1000\n" if is_back else ""
    main.write_text(f"[unix_http_server]\nfile={tmp_path}/absent.sock\n[supervisord]\n{section}")
    written = tmp_path / "procman.toml"
    written.write_text(
        f'[project]\nname = "shop"\napp = "shop"\ndirectory = "{tmp_path}"\nvirtualenv = "{tmp_path}"\nscope = "user"\n'
        f'[worker.celery]\nadopts = ["supervisor:{main}:old"]\n'
    )
    links = (Link(tmp_path / "wants", "target"),)
    old = Adopted(f"supervisor:{main}:old", "shop-celery", was_running=True, was_enabled=True, links=links)
    wish = sample.DESIRED_STATES["one"]
    manifest = replace(sample.manifest(tmp_path, wish, sample.rendering(tmp_path, wish)), adopted=(old,))
    generation = Generation(1, manifest)
    pending = Pending(1, (), (), uninstall=True)
    installation = Installation(generation, generation, (1,), (), pending, (), (), ())
    with Tree() as tree:
        plan = plan_adoptions(tree, installation, load(written, {"HOME": str(tmp_path)}))
    assert [each.adopted[0].source for each in plan.adoptions] == ([old.source] if is_back else [])
    assert plan.adopted == (old,)
