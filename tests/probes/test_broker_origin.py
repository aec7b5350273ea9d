"""The place where a broker's URL is set: found on the project's Python and named in the remedy, without its value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from procman.probes import broker
from procman.probes.broker_facts import BrokerFacts
from procman.probes.broker_remedies import remedy_for
from procman.probes.runner import Place
from tests.django_projects import make_project
from tests.reachable import IS_ROOT, SOMEBODY, public_directory

PASSWORD = "hunter-22-of-nobody"
URL = f"amqp://worker:{PASSWORD}@127.0.0.1:1//"
ENVIRONMENT_FILE, CONFIGURATION = Path("/etc/shop/celery.env"), Path("/srv/shop/procman.toml")


@pytest.fixture
def directory() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory


def ask(python: Path, directory: Path, environment: dict[str, str], private: dict[str, str]) -> BrokerFacts:
    user = SOMEBODY if IS_ROOT else None
    place = Place(python, environment, directory, user, None, private, ENVIRONMENT_FILE, CONFIGURATION)
    facts = broker.ask_broker(place, "site1")
    assert PASSWORD not in repr(facts)
    assert facts.origin in facts.remedy
    return facts


@pytest.mark.celery
@pytest.mark.parametrize(
    ("environment", "private", "origin"),
    [
        ({}, {"SHOP_BROKER": URL, "A_COPY": URL}, f"SHOP_BROKER in {ENVIRONMENT_FILE}"),
        ({"SHOP_BROKER": URL}, {}, f"SHOP_BROKER in [environment] of {CONFIGURATION}"),
        # Only the password comes from a variable, and the settings put the URL together.
        ({}, {"SHOP_PASSWORD": PASSWORD}, f"SHOP_PASSWORD in {ENVIRONMENT_FILE}"),
    ],
    ids=["environment file", "environment of procman.toml", "password alone"],
)
def test_variable_of_the_url_is_named_with_its_file(
    reachable_python: Path, directory: Path, environment: dict[str, str], private: dict[str, str], origin: str
) -> None:
    settings = (
        "import os\nCELERY_BROKER_URL = os.environ.get('SHOP_BROKER') "
        "or f\"amqp://worker:{os.environ['SHOP_PASSWORD']}@127.0.0.1:1//\""
    )
    make_project(directory, settings)
    assert ask(reachable_python, directory, environment, private).origin == origin


@pytest.mark.celery
def test_line_of_the_settings_is_named_where_they_are_split(reachable_python: Path, directory: Path) -> None:
    make_project(directory, "from .base import *")
    base = directory / "site1/base.py"
    base.write_text(f"DEBUG = False\nCELERY_BROKER_URL = {URL!r}\n")
    assert ask(reachable_python, directory, {}, {}).origin == f"CELERY_BROKER_URL in {base}:2"


@pytest.mark.parametrize(
    ("transport", "present", "absent"),
    [
        ("redis", "redis-cli ACL LIST", "rabbitmq"),
        ("amqp", "rabbitmqctl list_users", "redis"),
        ("sqs", "the app's broker URL", "rabbitmq"),
    ],
)
def test_remedy_of_a_refused_password_fits_the_broker(transport: str, present: str, absent: str) -> None:
    remedy = remedy_for("password", transport, "")
    assert present in remedy
    assert absent not in remedy


def test_service_is_only_started_on_this_host() -> None:
    assert "systemctl start redis-server" in remedy_for("refused", "redis", "X in Y")
    assert "systemctl" not in remedy_for("refused", "redis", "X in Y", is_here=False)
