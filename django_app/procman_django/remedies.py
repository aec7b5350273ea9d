"""Name what an administrator can type about an unhealthy program.

The hints for the codes of a heartbeat are those of `procman health`; a test of procman compares them.
"""

HINTS = {
    "PM201": "procman logs {name}, then procman restart {name}; healing does not restart it",
    "PM202": "procman restart {name}",
    "PM203": "procman health --probe checks the broker; procman logs {name}",
    "PM204": "procman logs {name}",
    "PM301": "procman restart {name}; if you cancelled its consumers on purpose: procman hold {name}",
    "PM302": "procman logs {name}, then procman restart {name}",
    "PM303": "procman restart {name}; if you cancelled its consumers on purpose: procman hold {name}",
    "PM401": "procman logs {name}, then procman restart {name}",
    "PM402": "procman logs {name} shows why the task is not sent",
}

UNREADY = "procman logs {name}; an app that patches the standard library for gevent or eventlet needs that pool"
SLOW_POOL = "procman logs {name}; a receiver of worker_process_init may be slow"

OTHERWISE = "procman health {name}"


def remedy(name, level, code, fields):
    """Return what to type about the verdict `level` and `code` of the program `name`; empty if it is healthy."""
    return "" if level in ("OK", "") else _hint(level, code, fields or {}).format(name=name)


def _hint(level, code, fields):
    phase = fields.get("phase")
    if code == "PM203" and phase == "consuming":
        is_unready = fields.get("ready") is False and not fields.get("pool_starting")
        return UNREADY if is_unready else SLOW_POOL
    if code == "PM401" and level == "WARNING" and phase != "standby":
        return HINTS["PM203"]
    return HINTS.get(code, OTHERWISE)
