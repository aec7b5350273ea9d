"""The suggestion of `management_url`; tests/host/test_broker.py has that with a real RabbitMQ."""

from __future__ import annotations

import socket

import pytest

from procman.errors import ProcmanError
from procman.init.complete import ask_management
from procman.init.draft import Draft
from procman.init.management_url import default_url, suggest_management_url
from procman.probes.app import AppFacts, Service
from procman.probes.broker_facts import BrokerFacts
from tests.preflight.records import broker, facts

PLAIN = "http://mq.example:15672"


def app(transport: str = "amqp", host: str = "mq.example", kind: str = "rabbitmq") -> AppFacts:
    return facts(transport=transport, services=(Service("broker", kind, host, None),))


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (app(), PLAIN),
        (app(host=""), "http://127.0.0.1:15672"),
        (app("pyamqp", "::1"), "http://[::1]:15672"),
        # The password does not leave TLS.
        (app("amqps"), "https://mq.example:15671"),
        (app("redis", kind="redis"), None),
        (facts(), None),
    ],
)
def test_url_is_the_default_one_of_rabbitmq(found: AppFacts, url: str | None) -> None:
    assert default_url(found) == url


@pytest.mark.parametrize(
    ("answer", "written", "note"),
    [
        (broker(alarms=()), PLAIN, ""),
        (broker(alarms=("disk on rabbit@mq",)), PLAIN, ""),
        (broker(user="me", management_problem="HTTP status 401: x"), None, "rabbitmqctl set_user_tags me monitoring"),
        (broker(management_problem="connection refused"), None, ""),
        (broker(reachable=False, trouble="refused"), None, ""),
    ],
)
def test_url_is_written_only_if_it_works(answer: BrokerFacts, written: str | None, note: str) -> None:
    draft = Draft()
    suggest_management_url(draft, app(), lambda url: answer)
    assert draft.get("health", "management_url") == written
    assert [note in each for each in draft.warnings] == ([True] if note else [])


def test_app_is_not_loaded_again_if_nothing_listens() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        # Nothing of the draft is used.
        with pytest.raises(ProcmanError, match=f"{url}: .*refused"):
            ask_management(Draft(), url)


def test_broker_that_cannot_be_asked_suggests_nothing() -> None:
    def fail(url: str) -> BrokerFacts:
        raise ProcmanError(f"no answer about {url}")

    draft = Draft()
    suggest_management_url(draft, app(), fail)
    assert (draft.tables, draft.warnings) == ({}, [])
