"""Workers of other installed projects are read from their generations, for PM749."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from procman.config.load import load
from procman.preflight.gather_projects import stopped_workers
from procman.preflight.inputs import OtherProgram
from tests.celery_environments import CELERY_5_7, environment_of
from tests.product import Product

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]


@pytest.fixture
def product() -> Iterator[Product]:
    environment = environment_of(CELERY_5_7)
    assert environment
    made = Product(environment)
    try:
        yield made
    finally:
        made.close()


def test_stopped_worker_of_an_installed_project_of_the_app_is_known_by_its_node_name(product: Product) -> None:
    product.configure("[worker.celery]\nhostname = 'crop@%h'\nautostart = false")
    product.procman("install")
    text = product.configuration.read_text()
    second = product.directory / "second.toml"
    second.write_text(text.replace('name = "catmaid"', 'name = "second"'))
    node = f"crop@{os.uname().nodename}"
    assert [(each.program, each.node_name) for each in _stopped(second, product)] == [("catmaid-celery", node)]
    assert list(_stopped(second, product, {"catmaid-celery"})) == []
    refused = product.procman("--config", str(second), "check", check=False).stdout
    assert "PM749" in refused
    assert f"catmaid-celery of another project has the node name of second-celery, {node}" in refused
    second.write_text(second.read_text().replace('app = "mysite"', 'app = "other"'))
    assert list(_stopped(second, product)) == []


def _stopped(file: Path, product: Product, running: Collection[str] = ()) -> list[OtherProgram]:
    return list(stopped_workers(load(file, product.environment), running))
