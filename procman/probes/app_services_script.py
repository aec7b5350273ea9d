"""List the services that an app connects to: its broker, databases, caches and result backend.

procman puts this text before that of app_script.py. Of a service, only the kind, the host and the port are returned,
never a user, a password or another part of a URL (S2).
"""

import os
import re
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

if __name__ == "procman.probes.app_services_script":
    # As a probe, this text comes after that of procman/secrets/recognise.py.
    from procman.secrets.recognise import masked_url

SERVICE_KINDS = (
    ("postg", "postgresql"),
    ("psql", "postgresql"),
    ("mysql", "mysql"),
    ("mariadb", "mysql"),
    ("redis", "redis"),
    ("valkey", "redis"),
    ("sentinel", "redis"),
    ("memcached", "memcached"),
    ("pymemcache", "memcached"),
    ("mongo", "mongodb"),
    ("amqp", "rabbitmq"),
    ("rabbitmq", "rabbitmq"),
)
"""A part of the name of a transport, a scheme or a Django backend, and the kind of service that it means."""

ADDRESS = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]*)(?:%\w+)?\]|(?P<host>[\w.-]*))(?::(?P<port>[0-9]{1,5}))?(?:[:/?#]|\Z)"
)

NEXT_URL = re.compile(r"[;,]\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)")

Address = Tuple[str, Optional[int]]
"""Host and port. The host is empty for a socket file or if the client's default applies, which is this host."""


def services(app: Any) -> List[Dict[str, Any]]:
    """Return each service once, as `{"what": "database default", "kind": "postgresql", "host": "", "port": None}`."""
    found = []  # type: List[Dict[str, Any]]
    for what, kind, (host, port) in [*_of_celery(app), *_databases(), *_caches()]:
        service = {"what": what, "kind": kind, "host": host, "port": port}
        if kind and service not in found:
            found.append(service)
    return found


def service_kind(name: object) -> Optional[str]:
    """Return the kind of service that a transport, scheme or Django backend connects to; None if it is unknown."""
    lower = str(name).lower()
    return next((kind for part, kind in SERVICE_KINDS if part in lower), None)


def broker(app: Any) -> Dict[str, Any]:
    """Return the URLs of the broker, without passwords, and its transport and missing client library."""
    url = app.conf.broker_read_url or app.conf.broker_url or "amqp://guest:guest@localhost:5672//"
    urls = url.split(";") if isinstance(url, str) else list(url)
    urls = [masked_url(str(each)) for each in urls]
    options = app.conf.broker_transport_options or {}
    return {
        "urls": urls,
        "transport": app.conf.broker_transport or urls[0].partition("://")[0],
        "missing_module": _missing_module(app),
        # The directories that the filesystem transport writes to.
        "directories": sorted(str(value) for name, value in options.items() if "folder" in name),
    }


def _missing_module(app: Any) -> Optional[str]:
    # `pip install celery` installs no client library for Redis, and a worker without it fails late and obscurely.
    try:
        app.connection_for_read().transport  # noqa: B018  # the property imports what it needs
    except ImportError as error:
        return error.name or str(error)
    except ValueError:
        # The original message quotes a piece of the URL.
        raise ValueError("the URL is invalid; percent-encode the special characters of its password") from None
    return None


# Celery --------------------------------------------------------------------------------------------------------------


def _of_celery(app: Any) -> Iterator[Tuple[str, Optional[str], Address]]:
    read_url = app.conf.broker_read_url or app.conf.broker_url or "amqp://"
    for what, value in (
        ("broker", read_url),
        ("broker", app.conf.broker_write_url),
        ("result backend", app.conf.result_backend),
        ("beat's lock", getattr(app.conf, "redbeat_redis_url", None)),
    ):
        for url in _urls(value):
            # `rpc://` is the broker; `django-db` and `django-cache` are among the databases and caches.
            scheme, addresses = url_addresses(url)
            for address in addresses:
                yield what, service_kind(scheme), address


def _urls(value: object) -> List[str]:
    if isinstance(value, (list, tuple)):
        return [url for each in value for url in _urls(each)]
    return [each for each in NEXT_URL.split(value) if "://" in each] if isinstance(value, str) else []


def url_addresses(url: str) -> Tuple[str, List[Address]]:
    """Return the scheme of `url` and its addresses; it has several as in `cache+memcached://one:11211;two:11211/`."""
    scheme, _, rest = url.strip().partition("://")
    if rest.startswith("/") or scheme.endswith(("socket", "unix")):
        return scheme, [("", None)]
    # A password may contain any other separator.
    authority = re.split("[/?#]", rest.rpartition("@")[2])[0]
    return scheme, [each for each in map(address_of, re.split("[;,]", authority)) if each]


def address_of(text: str) -> Optional[Address]:
    """Return the host and port in `HOST:PORT`, `[::1]:PORT`, `unix:/path` or `/path`; None if it is neither."""
    text = text.strip()
    if text.startswith(("/", "unix:", "@")):
        return "", None
    found = ADDRESS.match(text)
    return (found.group("six") or found.group("host") or "", _port(found.group("port"))) if found else None


def _port(value: object) -> Optional[int]:
    text = str(value or "")
    return int(text) if re.match(r"[0-9]{1,5}\Z", text) else None


# Django --------------------------------------------------------------------------------------------------------------


def _databases() -> Iterator[Tuple[str, Optional[str], Address]]:
    for alias, database in _tables("DATABASES"):
        kind = service_kind(database.get("ENGINE")) or _vendor(alias, database)
        for host in _database_hosts(database, kind):
            for scheme, addresses in [url_addresses(host)] if "://" in host else [("", [_database(host, database)])]:
                for address in addresses:
                    yield "database %s" % alias, service_kind(scheme) or kind, address


def _database_hosts(database: Mapping[str, Any], kind: Optional[str]) -> List[str]:
    # libpq reads the variable if no host is set; djongo has its URL in CLIENT.
    tables = [database, *(each for each in (database.get("OPTIONS"), database.get("CLIENT")) if isinstance(each, dict))]
    named = [str(each.get("HOST") or each.get("host") or "") for each in tables]
    host = next(filter(None, named), os.environ.get("PGHOST", "") if kind == "postgresql" else "")
    return [host] if "://" in host else host.split(",")


def _database(host: str, database: Mapping[str, Any]) -> Address:
    is_socket = "/" in host or host.startswith("@")
    return "" if is_socket else host.strip().partition("%")[0], _port(database.get("PORT"))


def _vendor(alias: str, database: Mapping[str, Any]) -> Optional[str]:
    """Return the kind of a database whose engine has a name of its own, as a subclass of one of Django's may have."""
    if not database.get("ENGINE") or str(database["ENGINE"]).startswith("django.db."):
        return None
    try:
        return service_kind(sys.modules["django.db"].connections[alias].vendor)
    except Exception:
        return None


def _caches() -> Iterator[Tuple[str, Optional[str], Address]]:
    for alias, cache in _tables("CACHES"):
        kind, location = service_kind(cache.get("BACKEND")), cache.get("LOCATION") or ""
        for text in location if isinstance(location, (list, tuple)) else re.split("[;,]", str(location)):
            if isinstance(text, str) and "://" in text:
                for address in url_addresses(text)[1]:
                    yield "cache %s" % alias, kind, address
            elif isinstance(text, str) and address_of(text):
                yield "cache %s" % alias, kind, address_of(text) or ("", None)


def _tables(name: str) -> Iterator[Tuple[str, Mapping[str, Any]]]:
    django_conf = sys.modules.get("django.conf")
    if django_conf is None or not django_conf.settings.configured:
        return
    tables = getattr(django_conf.settings, name, None)
    for alias, table in tables.items() if isinstance(tables, dict) else ():
        if isinstance(table, dict):
            yield str(alias), table
