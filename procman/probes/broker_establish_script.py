"""Connect to the first URL of a broker that accepts, and name the fault of each that does not.

procman puts this text after those of broker_errors_script.py, broker_tls_script.py and broker_address_script.py, and
before that of broker_connection_script.py.
"""

import contextlib
import importlib
import signal
import time
from typing import Any, Callable, Dict, Iterator, List, Optional

if __name__ == "procman.probes.broker_establish_script":
    # As a probe, this text comes after those.
    from procman.probes.broker_address_script import about, passwords
    from procman.probes.broker_errors_script import Fault, TimeIsUp, masked_detail, message, trouble
    from procman.probes.broker_tls_script import GREETINGS, answers_without_tls

WITH_TLS = ("amqps", "rediss")
"""Transports of kombu for which `ssl` of a connection need not be set."""

TLS_SECONDS = 4.0
"""Redis never answers the beginning of TLS on a port without it."""
SENTINEL_SECONDS = 4.0
SENTINEL_PORT = 26379


def establish(connection: Any, found: Dict[str, Any]) -> Any:
    """Connect to the first of the app's brokers that accepts; if none does, raise the first one's error.

    "tried" of `found` gets each URL of several, or each Sentinel, in turn: its "url", "host", and "trouble" with
    "detail" if it cannot be used.
    """
    found["tried"] = []
    if connection.transport_cls == "sentinel":
        return _establish_by_sentinels(connection, found)
    urls = list(connection.alt or [None])
    first = None  # type: Optional[BaseException]
    for number, url in enumerate(urls):
        if url is not None and number:
            connection.switch(url)
        try:
            established = _establish_in_time(connection, len(urls) - number)
        except Exception as error:
            first = first or error
            note_tried(found, connection, error)
        else:
            note_tried(found, connection)
            return established
    assert first
    raise first


def try_others(connect: Callable[[str], Any], urls: List[str], found: Dict[str, Any]) -> None:
    """Try each of `urls`, and note it in "tried" of `found`; a worker would use it if those before it failed."""
    for number, url in enumerate(urls):
        connection = connect(url)
        try:
            _establish_in_time(connection, len(urls) - number)
        except Exception as error:
            note_tried(found, connection, error)
        else:
            note_tried(found, connection)


def note_tried(found: Dict[str, Any], connection: Any, error: Optional[BaseException] = None) -> None:
    """Add the present URL of a connection to those that were tried."""
    tried = {name: about(connection)[name] for name in ("url", "host")}
    found["tried"].append(dict(tried, **_noted(connection, error)))


def _noted(connection: Any, error: Optional[BaseException]) -> Dict[str, str]:
    if error is None:
        return {"trouble": "", "detail": ""}
    return {"trouble": trouble(error), "detail": masked_detail(message(error), passwords(connection))}


# Time ----------------------------------------------------------------------------------------------------------------


def _establish_in_time(connection: Any, parts: int) -> Any:
    """Connect within one of `parts` equal parts of the time that is left; raise an error that names a missing TLS."""
    has_tls = connection.ssl or connection.transport_cls in WITH_TLS
    try:
        with _at_most(parts, TLS_SECONDS if has_tls else None):
            return connection.transport.establish_connection()
    except Exception as error:
        if has_tls and trouble(error) in ("timeout", "tls", "closed") and _expects_no_tls(connection):
            raise Fault("plain", "") from error
        raise


@contextlib.contextmanager
def _at_most(parts: int, most: Optional[float]) -> Iterator[None]:
    """Raise TimeoutError after one of `parts` equal parts of the probe's time, or after `most` seconds if that is less.

    With `most`, half of the time remains for another question. Does nothing if the probe has no time limit.
    """
    left, start = signal.getitimer(signal.ITIMER_REAL)[0], time.monotonic()
    share = min(left / parts, most or left, left / 2 if most else left)
    if share < left:
        signal.setitimer(signal.ITIMER_REAL, share)
    try:
        yield
    except TimeIsUp:
        if share >= left:
            raise
        raise TimeoutError("no answer in time") from None
    finally:
        if share < left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - start), 0.01))


def _expects_no_tls(connection: Any) -> bool:
    greeting = GREETINGS.get(str(connection.transport.driver_type))
    defaults = getattr(connection.transport, "default_connection_params", None) or {}
    port = connection.port or defaults.get("port") or connection.transport.default_port
    return bool(greeting) and answers_without_tls(about(connection)["host"], int(port), greeting or b"")


# Sentinels -----------------------------------------------------------------------------------------------------------


def _establish_by_sentinels(connection: Any, found: Dict[str, Any]) -> Any:
    """Connect by any of the Sentinels, as kombu does by itself; if that fails, raise the error of the first of them.

    kombu's own error quotes the settings of each.
    """
    try:
        with _at_most(2, None):
            return connection.transport.establish_connection()
    except Exception as error:
        ask_sentinels(connection, found)
        first = next((each for each in found["tried"] if each["trouble"]), None)
        if first:
            raise Fault(first["trouble"], first["detail"]) from error
        raise


def ask_sentinels(connection: Any, found: Dict[str, Any]) -> None:
    """Ask each Sentinel for the master, and note it in "tried" of `found`."""
    parse = importlib.import_module("kombu.utils.url").url_to_parts
    urls = connection.alt or ["sentinel://%s:%s" % (connection.hostname, connection.port or SENTINEL_PORT)]
    for number, url in enumerate(urls):
        parts = parse(url)
        host, port = parts[1] or "localhost", parts[2] or SENTINEL_PORT
        tried = {"url": "sentinel://%s:%s" % (host, port), "host": host}
        error = None  # type: Optional[BaseException]
        try:
            with _at_most(len(urls) - number, SENTINEL_SECONDS):
                _ask_sentinel(connection.transport_options or {}, host, port)
        except Exception as caught:
            error = caught
        found["tried"].append(dict(tried, **_noted(connection, error)))


def _ask_sentinel(options: Dict[str, Any], host: str, port: int) -> None:
    master = options.get("master_name")
    if not master:
        raise Fault("sentinel-master", "master_name is not set")
    how = dict(options.get("sentinel_kwargs") or {}, host=host, port=port)
    pool = importlib.import_module("redis").Redis(**how).connection_pool
    try:
        # Redis.execute_command() would try again for seconds without a password.
        sentinel = pool.get_connection("SENTINEL")
        sentinel.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
        known = sentinel.read_response()
    except Exception as error:
        if trouble(error) == "password":
            raise Fault("sentinel-password", message(error)) from error
        raise
    finally:
        pool.disconnect()
    if not known:
        raise Fault("sentinel-master", str(master))
