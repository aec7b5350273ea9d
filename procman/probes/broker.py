"""Query a broker on the project's Python: that of its app (broker_script.py), or those of its workers, without the app.

The workers' records name those (agent/broker_record.py); broker_look_script.py reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from procman.agent import broker_record, routed_queues
from procman.probes import (
    broker_address_script,
    broker_connection_script,
    broker_errors_script,
    broker_establish_script,
    broker_look_script,
    broker_management_script,
    broker_origin_script,
    broker_redis_script,
    broker_script,
    broker_states_script,
    broker_tls_script,
)
from procman.probes.broker_facts import BrokerFacts, QueueFacts, QueueState, TriedUrl
from procman.probes.runner import AppError, Place, ask_project
from procman.secrets import KnownSecrets, masked

TIMEOUT_SECONDS = 15.0
KILLED_AFTER_SECONDS = 3.0
"""How much later the whole probe is killed if it has not exited by itself."""

LOOK_SECONDS = 10.0
"""The time limit of a look without the app."""

LONGEST_TEXT = 300
MOST_QUEUES, MOST_BROKERS, MOST_NAMES = 1000, 20, 100
"""How much of an answer is used: the watcher records it, and every later check reads that."""

TRIED_FIELDS = ("url", "host", "trouble", "detail")

SHARED = (
    broker_errors_script,
    broker_tls_script,
    broker_address_script,
    broker_establish_script,
    broker_management_script,
    broker_redis_script,
    broker_connection_script,
)

SOURCES = tuple(
    Path(str(module.__file__))
    for module in (routed_queues, broker_origin_script, *SHARED, broker_states_script, broker_script)
)
"""The texts that make up the probe of the app, in order."""

LOOK_SOURCES = tuple(Path(str(module.__file__)) for module in (broker_record, *SHARED, broker_look_script))
"""The same for a look without the app."""


def ask_broker(
    place: Place,
    app: str,
    *,
    programs: Mapping[str, Sequence[str]] | None = None,
    management_url: str | None = None,
    every_url: bool = False,
    timeout: float = TIMEOUT_SECONDS,
) -> BrokerFacts:
    """Connect to the broker of `app` as a worker would, and return the result within about `timeout` seconds.

    Nothing is consumed, sent or created. `programs` has the queues of each worker; a worker without queues consumes
    those of the app. Without `programs`, only these are counted; with them, also those that tasks are sent to.
    `every_url`: also try the URLs of a list that a worker would use only if the first failed. Raises what `ask_project`
    raises; a refused connection is a result, not an error.
    """
    workers = None if programs is None else {name: list(queues) for name, queues in programs.items()}
    asked = json.dumps({"programs": workers, "management": management_url, "every_url": every_url, "seconds": timeout})
    answer = ask_project(place, app, SOURCES, [asked], timeout=timeout + KILLED_AFTER_SECONDS)
    try:
        return with_tried(facts_of(answer, place), answer, place.secrets)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{app}: the answer about the broker is invalid: {error!r}") from None


def look_at_brokers(
    place: Place,
    project: str,
    files: Mapping[str, Path],
    *,
    queues: Sequence[str] = (),
    management_url: str | None = None,
    timeout: float = LOOK_SECONDS,
) -> tuple[BrokerFacts, ...]:
    """Connect once to each broker in the records `files` of the workers, by program, without importing the app.

    A record that does not exist is skipped. `queues` names queues to count besides those in the records. Raises what
    `ask_project` raises; a refused connection is a result, not an error.
    """
    paths = {name: str(path) for name, path in files.items()}
    asked = {"files": paths, "queues": list(queues), "management": management_url, "seconds": timeout}
    whole = timeout + KILLED_AFTER_SECONDS
    answer = ask_project(place, project, LOOK_SOURCES, [json.dumps(asked)], timeout=whole, doing="querying the broker")
    try:
        return facts_of_look(answer, place)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise AppError(f"{project}: the answer about the broker is invalid: {error!r}") from None


def facts_of_look(answer: Mapping[str, Any], place: Place) -> tuple[BrokerFacts, ...]:
    """Return the facts about each broker in the answer of broker_look_script.py."""
    return tuple(facts_of(each, place) for each in answer["brokers"][:MOST_BROKERS])


def facts_of(answer: Mapping[str, Any], place: Place) -> BrokerFacts:
    """Return the facts in an answer of broker_script.py about one broker."""
    secrets = place.secrets
    management: Mapping[str, Any] | None = answer.get("management")
    reachable = answer["reachable"]
    alarms = _names(management["alarms"]) if management and not management["problem"] else None
    return BrokerFacts(
        reachable=reachable if reachable is None else bool(reachable),
        trouble="import" if answer["stage"] == "importing" else _text(answer.get("trouble")),
        detail=_detail(answer, secrets),
        url=_text(masked(str(answer.get("url", "")))),
        transport=_text(answer.get("transport")),
        host=_text(masked(str(answer.get("host") or ""))),
        user=None if answer.get("user") is None else _text(answer["user"]),
        default_credentials=bool(answer.get("default_credentials")),
        queues=tuple(_queue(each) for each in answer["queues"][:MOST_QUEUES]),
        seconds=float(answer["seconds"]),
        alarms=alarms,
        management_problem=_text(secrets.masked(str(management["problem"]))) if management else "",
        programs=_names(answer.get("programs", ())),
        origin=place.origin_found(answer.get("origin") or {}),
        version=_text(answer.get("version")),
        **_states(answer, secrets),
    )


def with_tried(facts: BrokerFacts, answer: Mapping[str, Any], secrets: KnownSecrets) -> BrokerFacts:
    """Add the URLs that were tried, if there are several."""
    tried = answer.get("tried", ())[:MOST_BROKERS]
    if len(tried) < 2:
        return facts
    texts = [{name: _text(secrets.masked(str(each.get(name, "")))) for name in TRIED_FIELDS} for each in tried]
    return replace(facts, tried=tuple(TriedUrl(**each) for each in texts))


def _text(value: Any) -> str:
    # After secrets are hidden: half of one would not be recognised.
    return str(value or "")[:LONGEST_TEXT]


def _names(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(map(_text, values[:MOST_NAMES]))


def _states(answer: Mapping[str, Any], secrets: KnownSecrets) -> dict[str, Any]:
    refusal, denied = answer.get("redis_refusal"), answer.get("denied")
    return {
        "visibility_seconds": _seconds(answer.get("visibility_seconds")),
        "redis_refusal": None if refusal is None else _text(secrets.masked(str(refusal))),
        "denied_feature": None if denied is None else _text(denied.get("feature")),
        "denied_reason": _text(secrets.masked(str((denied or {}).get("reason", "")))),
        "acks_late": bool(answer.get("acks_late")),
    }


def _queue(found: Mapping[str, Any]) -> QueueFacts:
    return QueueFacts(
        name=_text(found["name"]),
        messages=_count(found["messages"]),
        consumers=_count(found["consumers"]),
        unacknowledged=_count(found["unacknowledged"]),
        programs=_names(found.get("programs", ())),
        state=_queue_state(found["state"]) if found.get("state") else None,
    )


def _queue_state(found: Mapping[str, Any]) -> QueueState:
    return QueueState(
        refused=_text(found["refused"]),
        is_quorum=bool(found["is_quorum"]),
        delivery_limit=_count(found["delivery_limit"]),
        has_dead_letters=bool(found["has_dead_letters"]),
        consumer_timeout_seconds=_seconds(found["consumer_timeout_seconds"]),
        delays_natively=bool(found["delays_natively"]),
    )


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _count(value: Any) -> int | None:
    return None if value is None else int(value)


def _detail(answer: Mapping[str, Any], secrets: KnownSecrets) -> str:
    detail = _text(secrets.masked(str(answer.get("detail", ""))))
    if answer["stage"] != "importing":
        return detail
    if answer.get("trouble") == "timeout":
        return "the import of the app exceeded the time limit; it may itself be waiting for the broker or a database"
    return f"the app cannot be loaded ({detail})"
