"""`check -v` lists what was examined, and claims nothing that was not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from procman.model import Level
from procman.monitoring.checks.registry import run
from procman.preflight.examined import CONDITIONS, with_examined
from procman.preflight.inputs import Host, Interpreter, PreflightFacts
from procman.preflight.registry import BEFORE
from procman.probes.app import Judged, ResultBackend
from tests.preflight.records import TOML, asked, broker, facts, valid


def passed(preflight: PreflightFacts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for result in with_examined(run(BEFORE, preflight), BEFORE, preflight):
        if result.level is Level.OK:
            found.setdefault(result.code, []).append(result.detail)
    return found


def test_every_check_has_a_condition() -> None:
    assert [check.code for check in BEFORE if not {check.code, check.code[:4]} & {*CONDITIONS}] == []


def test_check_without_a_result_is_listed_with_its_title() -> None:
    found = passed(valid())
    assert found["PM756"] == ["Logs belong to root, run directories to the user"]
    assert found["PM753"] == ["www-data can write to /srv/media"]
    assert {"PM703", "PM713", "PM722", "PM726", "PM732", "PM743", "PM748", "PM751", "PM761", "PM783", "PM789"} <= {
        *found
    }
    # Neither management_url nor a wrapper, a sandbox, a list of accepted codes, a limit of memory or Redis.
    assert not {"PM605", "PM725", "PM754", "PM765", "PM775", "PM782", "PM788"} & {*found}


@pytest.mark.parametrize("trouble", [None, ""])
def test_schedule_in_a_database_is_listed_only_if_it_was_read(trouble: str | None) -> None:
    judged = Judged(scheduler="shop.beat:Scheduler", keeps_file=False, schedule_trouble=trouble)
    found = passed(asked(replace(valid(), schedule=None), app=facts(judged={"site-celery-beat": judged})))
    assert found.get("PM745") == (None if trouble is None else ["beat can read its schedule with shop.beat:Scheduler"])


@pytest.mark.parametrize(
    ("backend", "listed"),
    [
        (ResultBackend(), None),
        (ResultBackend("rpc://"), ["the result backend rpc:// can be used"]),
        (ResultBackend("redis://x", "refused"), None),
    ],
    ids=["none", "used", "broken"],
)
def test_result_backend_is_listed_only_if_it_can_be_used(backend: ResultBackend, listed: list[str] | None) -> None:
    assert passed(asked(valid(), app=facts(result_backend=backend))).get("PM728") == listed


def test_account_guest_on_this_host_is_not_listed_where_it_is_not_judged() -> None:
    assert "PM727" in passed(valid())
    own = valid('scope = "user"', TOML.replace('user = "www-data"', ""))
    assert "PM727" not in passed(asked(own, broker=broker(default_credentials=True)))


@pytest.mark.parametrize(
    ("preflight", "unknown"),
    [
        (
            asked(valid(), app=None, error="ImportError: x", broker=None),
            ("PM71", "PM72", "PM73", "PM761", "PM762", "PM783"),
        ),
        (asked(valid(), broker=broker(reachable=False, trouble="refused")), ("PM723", "PM783", "PM787")),
        (replace(valid(), places={}, schedule=None, environment_file=None), ("PM706", "PM743", "PM751", "PM756")),
        (
            PreflightFacts(valid().project, {}, Interpreter(""), host=Host(account_problem="user www-data is missing")),
            ("PM70", "PM71", "PM72", "PM73", "PM74", "PM75", "PM76", "PM77", "PM788"),
        ),
        (
            valid(text=TOML.partition("[beat]")[0].partition("[command")[0]),
            ("PM704", "PM741", "PM742", "PM743", "PM745", "PM789"),
        ),
    ],
    ids=["no app", "no broker", "no paths", "no account", "no beat and command"],
)
def test_check_whose_facts_are_unknown_is_not_listed(preflight: PreflightFacts, unknown: tuple[str, ...]) -> None:
    assert [code for code in passed(preflight) if code.startswith(unknown)] == []


def test_order_is_that_of_the_checks() -> None:
    before = replace(
        valid(),
        places={**valid().places, Path("/srv/media"): replace(valid().places[Path("/srv/media")], writable=False)},
    )
    codes = [result.code for result in with_examined(run(BEFORE, before), BEFORE, before)]
    order = [check.code for check in BEFORE]
    assert codes == sorted(codes, key=order.index)
    assert [
        result.level for result in with_examined(run(BEFORE, before), BEFORE, before) if result.code == "PM752"
    ] == [Level.CRITICAL]
