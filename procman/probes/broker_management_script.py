"""Ask RabbitMQ's management interface for its alarms and for what a connection cannot count.

procman puts this text after that of broker_errors_script.py and before that of broker_connection_script.py.
"""

import base64
import json
from typing import Any, Dict, List

if __name__ == "procman.probes.broker_management_script":
    # As a probe, this text comes after it.
    from procman.probes.broker_errors_script import message

MANAGEMENT_SECONDS = 4.0
LARGEST_REPLY = 1 << 20


def management(url: str, connection: Any) -> Dict[str, Any]:
    """Ask the management interface for its alarms, with the broker's credentials."""
    try:
        status, reply = _get(url.rstrip("/") + "/api/health/checks/alarms", _token(connection))
    except (OSError, ValueError) as error:
        return {"problem": message(error), "alarms": []}
    if status == 200:
        return {"problem": "", "alarms": []}
    if status == 503:
        return {"problem": "", "alarms": _alarms(reply)}
    words = {
        401: "the broker's user may not read the alarms",
        403: "the broker's user may not read the alarms",
        404: "page not found",
    }
    return {"problem": "HTTP status %s: %s" % (status, words.get(status, "unexpected answer")), "alarms": []}


def queue_seen(url: str, connection: Any, name: str, *columns: str) -> Dict[str, Any]:
    """Return `columns` of a queue as the management interface shows them; empty if it does not, or not to this user."""
    from urllib.parse import quote

    place = [quote(str(each), safe="") for each in (connection.virtual_host or "/", name)]
    page = "%s/api/queues/%s/%s?columns=%s" % (url.rstrip("/"), *place, ",".join(columns))
    try:
        status, reply = _get(page, _token(connection))
        found = json.loads(reply.decode()) if status == 200 else None
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _token(connection: Any) -> str:
    defaults = connection.transport.default_connection_params
    user, password = connection.userid or defaults["userid"], connection.password or defaults["password"]
    return base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def _get(url: str, token: str) -> Any:
    # Imported when needed: it takes as long as half of kombu.
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            """Never send the credentials elsewhere."""

    if not url.startswith(("http://", "https://")):
        raise ValueError("not an http:// or https:// URL")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect())
    request = urllib.request.Request(url, headers={"Authorization": "Basic " + token})  # noqa: S310
    try:
        with opener.open(request, timeout=MANAGEMENT_SECONDS) as reply:
            return reply.status, reply.read(LARGEST_REPLY)
    except urllib.error.HTTPError as error:
        return error.code, error.read(LARGEST_REPLY)


def _alarms(reply: bytes) -> List[str]:
    try:
        raised = json.loads(reply.decode())["alarms"]
        return sorted({"%s on %s" % (each["resource"], each["node"]) for each in raised})
    except (ValueError, KeyError, TypeError):
        return ["unknown alarm"]
