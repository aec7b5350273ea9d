"""Read the schedule that beat keeps in a database or in Redis, and the tables of a Django app, and change nothing.

procman puts this text before those of app_backend_script.py and app_check_script.py.
"""

import importlib
import os
import threading
from typing import Any, Callable, List, Optional, Tuple

if __name__ == "procman.probes.app_tables_script":
    # As a probe, this text comes after those.
    from procman.probes.broker_errors_script import Fault, message, trouble
    from procman.probes.broker_redis_script import refusal_in, try_in_transaction

SERVER_SECONDS = 5.0
"""How long a server of the app may take to answer."""


REDBEAT = "redbeat.schedulers:RedBeatScheduler"


def ends_in_time(work: Callable[[], None]) -> bool:
    """Call `work`, which handles its own errors, and return whether it ends within SERVER_SECONDS.

    It runs in a thread, because a client library written in C ignores signals until its server answers.
    """
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SERVER_SECONDS)
    return not thread.is_alive()


def read_tables(label: str) -> None:
    """Read all columns of a row of each table of the Django app `label`; raise Fault if that fails."""
    for model in importlib.import_module("django.apps").apps.get_app_config(label).get_models():
        rows = model._base_manager.all()[:1]
        connect_to_database(rows.db)
        try:
            list(rows)
        except Exception as error:
            raise Fault("tables", "%s in the database %s" % (error, rows.db)) from error


def connect_to_database(alias: str) -> None:
    """Connect to a database of Django's settings, unless this thread is connected; raise Fault if that fails."""
    connection = importlib.import_module("django.db").connections[alias]
    path = str(connection.settings_dict.get("NAME") or "")
    is_file = connection.vendor == "sqlite" and path and not path.startswith((":memory:", "file:"))
    if is_file and not os.path.exists(path):
        # A connection would create it.
        raise Fault("tables", "the file %s of the database %s does not exist" % (path, alias))
    try:
        connection.ensure_connection()
    except Exception as error:
        raise Fault("database", "%s (database %s)" % (" ".join(str(error).split()), alias)) from error


# The schedule --------------------------------------------------------------------------------------------------------


def schedule_fault(app: Any, scheduler: Any) -> Tuple[Optional[str], str]:
    """Return why beat could not read its schedule with the class `scheduler`: a kind, which is empty if it could.

    A message follows. The kind is None if procman cannot read such a schedule; the scheduler itself would change its
    tables when it is created.
    """
    if not (_is_redbeat(scheduler) or _tables_of(scheduler)):
        return None, ""
    fault = ["", ""]  # type: List[str]

    def look() -> None:
        try:
            _read_schedule(app, scheduler)
        except Fault as error:
            fault[:] = [error.trouble, str(error)]
        except Exception as error:
            fault[:] = [trouble(error), message(error)]

    return (fault[0], fault[1]) if ends_in_time(look) else ("timeout", "no answer in time")


def _read_schedule(app: Any, scheduler: Any) -> None:
    if _is_redbeat(scheduler):
        _read_redbeat(app)
    else:
        read_tables(_tables_of(scheduler))


def _is_redbeat(scheduler: Any) -> bool:
    return any("%s:%s" % (each.__module__, each.__name__) == REDBEAT for each in scheduler.__mro__)


def _tables_of(scheduler: Any) -> str:
    """Return the Django app with the tables of django-celery-beat, or of a scheduler like it; empty if it has none."""
    return str(getattr(getattr(getattr(scheduler, "Model", None), "_meta", None), "app_label", ""))


def _read_redbeat(app: Any) -> None:
    client = importlib.import_module("redbeat.schedulers").get_redis(app)
    key = app.redbeat_conf.key_prefix + "procman"
    try_commands(client.connection_pool, [("HGET", key, "definition"), ("ZADD", key, "0", "procman")])


def try_commands(pool: Any, commands: List[Tuple[Any, ...]]) -> None:
    """Raise Fault if Redis refuses one of `commands`, of which it executes none, or the error of the connection."""
    try:
        try_in_transaction(pool, commands)
    except Exception as error:
        refusal = refusal_in(error)
        if refusal:
            raise Fault("refusal", refusal) from error
        raise
