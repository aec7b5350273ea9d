"""`diff` and `install --dry-run` show what changes in a few lines, by keys and programs, under a real supervisord."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

WORKERS = """
[defaults.worker]
autostart = false
[worker.crop]
instances = 4
queues = {queues}
[command.sleep]
argv = ["sleep", "{seconds}"]
"""


def configure(product: Product, queues: str = '["crop"]', seconds: int = 1000, more: str = "") -> None:
    product.configure(WORKERS.format(queues=queues, seconds=seconds) + more)


def test_diff_names_programs_keys_and_restarts_and_leaves_out_the_launcher(product: Product) -> None:
    configure(product)
    first = product.procman("diff").stdout
    assert [line for line in first.splitlines() if "launcher" not in line] == [
        "+ worker.crop  (4 programs)",
        "+ command.sleep  (catmaid-sleep)",
        "programs  5 new",
        "files     11 created",
    ]
    assert product.procman("install", "--dry-run").stdout == first
    text = product.procman("diff", "-v").stdout
    assert "+autostart=false" in text
    assert "launcher.py b/" not in text
    assert "+def " not in text
    assert "launcher.py  0" in product.procman("install", "--dry-run", "-v").stdout

    product.procman("install")
    nothing = product.procman("diff", "--exit-code")
    assert (nothing.stdout, nothing.stderr) == ("", "nothing to change\n")
    # Nor does the same text from standard input, which has no place, change anything.
    given = subprocess.run(
        [sys.executable, "-m", "procman", "diff", "--exit-code", "--config", "-"],
        input=product.configuration.read_text(),
        env=product.environment,
        cwd=product.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (given.returncode, given.stdout, given.stderr) == (0, "", "nothing to change\n")

    configure(product, '["crop", "tiles"]', 2000, "[worker.tiles]\n")
    changed = product.procman("diff", "--exit-code", check=False)
    assert changed.returncode == 1
    assert changed.stdout.splitlines() == [
        "~ worker.crop  queues: crop -> crop, tiles  (4 left stopped)",
        "~ command.sleep  argv: sleep 1000 -> sleep 2000  (1 restart)",
        "+ worker.tiles  (catmaid-tiles)",
        "programs  1 to restart, 4 left stopped, 1 new",
        "files     2 created, 5 updated",
    ]
    document = json.loads(product.procman("diff", "--json").stdout)
    assert document["changes"][1]["keys"] == [{"key": "argv", "old": "sleep 1000", "new": "sleep 2000"}]
    assert document["programs"]["restarted"] == ["catmaid-sleep"]
    assert not any(file["launcher"] for file in document["files"])

    # A rollback is shown in the same way, and a file that was edited by hand is named.
    product.procman("install")
    start = product.directory / "c/procman/catmaid/catmaid-sleep.sh"
    start.write_text(start.read_text() + "# by hand\n")
    back = product.procman("diff", "--generation", "1").stdout.splitlines()
    assert "- worker.tiles  (catmaid-tiles)" in back
    assert f"~ {start}  changed by hand: backed up first" in back
