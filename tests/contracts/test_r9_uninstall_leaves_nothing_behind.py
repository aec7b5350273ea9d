"""R9: uninstall removes what procman wrote and nothing else; after --purge only the schedule is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]


def tree(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(directory)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in directory.rglob("*")
        if path.relative_to(directory).parts[0] not in ("data", "d")
    }


def test_after_a_purge_only_the_schedule_is_left(product: Product) -> None:
    product.configure("[worker.celery]\nconcurrency = 1\n[beat]")
    before = tree(product.directory)
    product.procman("install", "--wait", "60")
    edited = product.directory / "c/procman/catmaid/catmaid-celery.sh"
    edited.write_text(edited.read_text() + "# by hand\n")
    assert "was changed by hand" in product.procman("status").stdout
    kept = product.procman("uninstall")
    assert "celerybeat-schedule" in kept.stdout
    assert "set-aside" in kept.stdout
    assert "supervisord.log" in kept.stdout
    assert not (product.directory / "c").exists()
    # What an uninstall left can still be purged, and so can what is installed.
    product.procman("uninstall", "--purge")
    assert tree(product.directory) == before
    product.procman("install", "--wait", "60")
    product.procman("uninstall", "--purge")
    assert tree(product.directory) == before
    left = [path.name for path in (product.directory / "d").rglob("*") if path.is_file()]
    assert left
    assert all(name.startswith("celerybeat-schedule") for name in left)
    assert not product.processes()
