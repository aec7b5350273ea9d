"""Describe the address of a broker without its password.

procman puts this text before that of broker_establish_script.py.
"""

from typing import Any, Dict, List
from urllib.parse import unquote, urlsplit


def about(connection: Any) -> Dict[str, Any]:
    """Return the transport, address and user of a connection, as it is now."""
    transport = connection.transport
    defaults = getattr(transport, "default_connection_params", None) or {}
    user = connection.userid or defaults.get("userid")
    password = connection.password or defaults.get("password")
    return {
        "transport": str(transport.driver_type),
        "url": _url(connection, password),
        "host": _host(str(connection.hostname or defaults.get("hostname") or "")),
        "user": None if user is None else str(user),
        "default_credentials": user == password == "guest",
    }


def _host(name: str) -> str:
    """Return the host, or the path of a socket, in a connection's `hostname`: for some transports a URL, with password.

    They are those that read it themselves, such as `sqla+postgresql` and `redis+socket`.
    """
    if "://" not in name:
        return name
    try:
        parts = urlsplit("//" + name.partition("://")[2].rpartition("@")[2])
        return parts.hostname or parts.path
    except ValueError:
        return ""


def _url(connection: Any, password: Any) -> str:
    url = str(connection.as_uri())
    # kombu's Redis transport masks a password even in a URL that has none.
    return url if password else url.replace(":**@", "@", 1).replace("://@", "://", 1)


def passwords(connection: Any) -> List[str]:
    """Return the passwords of a connection, in each form that an error may show."""
    urls = [str(each) for each in (connection.hostname, *(connection.alt or ())) if each]
    written = [url.partition("://")[2].rpartition("@")[0].partition(":")[2] for url in urls]
    return [str(each) for each in [connection.password, *written, *map(unquote, written)] if each]
