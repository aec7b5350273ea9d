"""Add an OK for each check that had something to examine and found no problem, so that `check -v` lists it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from procman.backends import backend_named
from procman.model import Kind, Level, Result, Scope
from procman.monitoring.checks.registry import Check
from procman.preflight.broker import is_amqp
from procman.preflight.inputs import PreflightFacts
from procman.preflight.pool_size import LIMITS

Condition = Callable[[PreflightFacts], bool]


def _is_loaded(preflight: PreflightFacts) -> bool:
    return bool(preflight.asked) and all(each.app for each in preflight.asked)


def _is_connected(preflight: PreflightFacts) -> bool:
    return _is_loaded(preflight) and all(each.broker and each.broker.reachable for each in preflight.asked)


def _uses_amqp(preflight: PreflightFacts) -> bool:
    return _is_connected(preflight) and any(map(is_amqp, preflight.asked))


def _uses_other_broker(preflight: PreflightFacts) -> bool:
    return _is_connected(preflight) and not all(map(is_amqp, preflight.asked))


def _is_looked_at(preflight: PreflightFacts) -> bool:
    return bool(preflight.places)


def _has_account(preflight: PreflightFacts) -> bool:
    return not preflight.host.account_problem


def _has(*kinds: Kind) -> Condition:
    return lambda preflight: bool(preflight.of_kind(*kinds))


def _all(*conditions: Condition) -> Condition:
    return lambda preflight: all(condition(preflight) for condition in conditions)


_WORKER, _BEAT = _all(_is_loaded, _has(Kind.WORKER)), _all(_is_looked_at, _has(Kind.BEAT))

CONDITIONS: dict[str, Condition] = {
    "PM605": lambda preflight: bool(preflight.project.accept) and preflight.sees_everything,
    "PM70": _is_looked_at,
    "PM703": _is_loaded,
    "PM704": _all(_is_looked_at, _has(Kind.COMMAND)),
    "PM706": lambda preflight: preflight.environment_file is not None,
    "PM708": lambda preflight: preflight.environment_file is not None,
    "PM71": _is_loaded,
    "PM72": _is_connected,
    "PM725": lambda preflight: bool(preflight.project.health.management_url) and _is_connected(preflight),
    "PM726": _is_loaded,
    "PM723": _uses_amqp,
    "PM727": lambda preflight: preflight.project.scope is Scope.SYSTEM and _uses_amqp(preflight),
    # Its own OK names the result backend, if the app has one.
    "PM728": lambda _: False,
    "PM73": _WORKER,
    "PM74": _BEAT,
    "PM741": _all(_BEAT, _is_loaded),
    "PM743": _all(_BEAT, lambda preflight: preflight.schedule is not None),
    "PM744": _all(_BEAT, lambda preflight: bool(preflight.schedule and preflight.schedule.files)),
    "PM745": _all(_BEAT, lambda preflight: bool(preflight.schedule and preflight.schedule.files)),
    "PM748": _WORKER,
    "PM749": _WORKER,
    "PM75": _is_looked_at,
    "PM752": lambda preflight: bool(preflight.places and preflight.project.writable_paths),
    "PM753": _is_loaded,
    "PM754": lambda preflight: _is_loaded(preflight) and backend_named(preflight.project.backend).has_sandbox,
    "PM76": _WORKER,
    "PM762": _all(_WORKER, _is_connected),
    "PM763": lambda preflight: preflight.host.stop_order is not None,
    "PM764": lambda preflight: bool(preflight.host.file_limits),
    "PM765": lambda preflight: any(
        getattr(each, key) is not None for each in preflight.of_kind(Kind.WORKER) for key, _ in LIMITS
    ),
    "PM77": _has_account,
    # Only some callers plan the files.
    "PM775": lambda _: False,
    "PM78": _is_connected,
    "PM781": _uses_amqp,
    "PM783": _uses_amqp,
    "PM786": _uses_amqp,
    "PM787": _uses_amqp,
    "PM782": _uses_other_broker,
    "PM784": _uses_other_broker,
    "PM788": lambda preflight: bool(preflight.wrappers),
    "PM789": _has(Kind.COMMAND),
    "PM790": _WORKER,
    "PM791": lambda preflight: bool(preflight.host.listening),
}
"""By code, or by its first four characters: whether the facts that a check needs are known, and concern the project."""


def with_examined(
    results: Sequence[Result], checks: Iterable[Check[PreflightFacts]], preflight: PreflightFacts
) -> list[Result]:
    """Return `results` in the order of `checks`, with an OK for each that examined something and yielded nothing."""
    found: list[Result] = []
    for check in checks:
        own = [result for result in results if result.code == check.code]
        if not own and is_examined(check.code, preflight):
            own = [Result(check.code, None, Level.OK, check.title)]
        found += own
    return found


def is_examined(code: str, preflight: PreflightFacts) -> bool:
    """Return whether a check without a result had something to examine."""
    condition = CONDITIONS.get(code) or CONDITIONS.get(code[:4])
    return condition is not None and condition(preflight)
