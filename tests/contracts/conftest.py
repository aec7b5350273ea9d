"""Provide installations of procman, with each Celery or with the newest, and whole hosts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.host import AttackedHost, attacked_hosts
from tests.celery_environments import CELERY_5_7, CeleryEnvironment, environment_of
from tests.contracts.existing_supervisord import ExistingSupervisord
from tests.product import Product, eventually


@pytest.fixture
def product() -> Iterator[Product]:
    """A project with the newest Celery, not installed yet."""
    environment = environment_of(CELERY_5_7)
    assert environment
    yield from _product(environment)


@pytest.fixture
def product_with_each_celery(celery_environment: CeleryEnvironment) -> Iterator[Product]:
    """A project with each supported Celery in turn, not installed yet."""
    yield from _product(celery_environment)


def _product(environment: CeleryEnvironment) -> Iterator[Product]:
    product = Product(environment)
    try:
        yield product
    finally:
        product.close()


@pytest.fixture
def host() -> Iterator[AttackedHost]:
    """A host of its own where procman runs as root, with programs that only sleep, not installed yet."""
    yield from attacked_hosts()


@pytest.fixture
def existing(product: Product) -> Iterator[ExistingSupervisord]:
    existing = ExistingSupervisord(product)
    product.configure("[worker.celery]\nconcurrency = 1\n[beat]")
    text = product.configuration.read_text().replace(
        'mode = "embedded"',
        f'mode = "existing"\nconfiguration = "{existing.configuration}"\ninclude = "{existing.include}/*.conf"',
    )
    product.configuration.write_text(text)
    yield existing
    existing.ctl("shutdown")
    eventually(lambda: existing.ctl("pid").returncode != 0, "supervisord has ended")
