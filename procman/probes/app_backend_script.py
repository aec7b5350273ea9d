"""Load the result backend of an app as its worker does when it starts, and ask the server that it uses.

procman puts this text before that of app_check_script.py. Nothing is stored, and no table is created. A backend of a
kind that is not known here is only loaded.
"""

import importlib
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

if __name__ == "procman.probes.app_backend_script":
    # As a probe, this text comes after those.
    from procman.probes.app_tables_script import ends_in_time, read_tables, try_commands
    from procman.probes.broker_errors_script import Fault, message, trouble
    from procman.probes.broker_origin_script import origin_of
    from procman.probes.broker_tls_script import GREETINGS, answers_without_tls
    from procman.secrets.recognise import masked, masked_url, values_of

LONGEST_FAULT = 300

CACHES = {"celery.backends.cache:CacheBackend", "django_celery_results.backends.cache:CacheBackend"}


def backend_state(app: Any) -> Dict[str, Any]:
    """Return the fault of the result backend, if it has one: its kind "trouble" and "detail", without secrets.

    "starts" is whether a worker starts with that fault, "url" the backend without its password.
    """
    url = str(app.conf.result_backend or "")
    found = {"url": masked_url(url), "trouble": "", "detail": "", "starts": False}  # type: Dict[str, Any]
    found["origin"] = origin_of(app, lambda: [url])

    def note_error(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            found["trouble"], detail = _fault_of(error, url.partition("://")[0])
            found["detail"] = masked(" ".join(detail.split()), values_of({"RESULT_BACKEND_URL": url}))[:LONGEST_FAULT]

    backend = note_error(lambda: _loaded(app, url, found))
    if backend is not None and not ends_in_time(lambda: note_error(lambda: _ask_server(backend))):
        # The thread may still add its error.
        return dict(found, trouble="plain" if url.startswith("rediss://") and _expects_no_tls(url) else "timeout")
    return found


def _expects_no_tls(url: str) -> bool:
    parts = importlib.import_module("kombu.utils.url").url_to_parts(url)
    return answers_without_tls(parts[1] or "localhost", parts[2] or 6379, GREETINGS["redis"])


def _loaded(app: Any, url: str, found: Dict[str, Any]) -> Any:
    """Return the backend, loaded as a worker does; None if it is not loaded because that would write a file."""
    if url.startswith("file://"):
        _require_directory(url[len("file://localhost" if "://localhost/" in url else "file://") :])
        return None
    # It would create the tables of a result backend with SQLAlchemy.
    creates_tables = getattr(app.conf, "database_create_tables_at_setup", False)
    app.conf.database_create_tables_at_setup = False
    backend = app.backend
    backend.as_uri()  # a worker shows it when it starts
    found["starts"] = not (creates_tables and "celery.backends.database:DatabaseBackend" in _classes(backend))
    return backend


def _fault_of(error: Exception, scheme: str) -> Tuple[str, str]:
    """Return the kind of an error and its message."""
    text = str(error)
    if isinstance(error, Fault):
        return error.trouble, text
    if isinstance(error, ImportError):
        known = importlib.import_module("celery.app.backends").BACKEND_ALIASES
        return ("unknown" if error.name == scheme not in known else "module"), message(error)
    if isinstance(error, ValueError):
        # Any other message of a ValueError may quote a piece of the URL.
        return ("ssl_cert_reqs", "") if "ssl_cert_reqs" in text else ("url", "")
    if "INSTALLED_APPS" in text:
        return "installed_apps", text
    if text.startswith("Unknown result backend"):
        return "unknown", ""
    kind = trouble(error)
    return kind, text if kind == "other" and not text.startswith("No master found") else message(error)


def _require_directory(path: str) -> None:
    """Raise Fault if results could not be stored in `path`; a `file://` backend would try it when it is loaded."""
    if not os.path.isdir(path):
        raise Fault("directory", "the directory %s does not exist" % path)
    if not os.access(path, os.W_OK | os.X_OK):
        raise Fault("directory", "this user cannot write to the directory %s" % path)


# The servers ---------------------------------------------------------------------------------------------------------


def _ask_server(backend: Any) -> None:
    """Raise an error if results cannot be stored now, as far as that can be found out without storing one."""
    classes = _classes(backend)
    if "celery.backends.redis:RedisBackend" in classes:
        _ask_redis(backend)
    elif "celery.backends.database:DatabaseBackend" in classes:
        _ask_database(backend)
    elif "django_celery_results.backends.database:DatabaseBackend" in classes:
        read_tables("django_celery_results")
    elif CACHES.intersection(classes):
        backend.get("procman")


def _classes(backend: Any) -> List[str]:
    return ["%s:%s" % (each.__module__, each.__name__) for each in type(backend).__mro__]


def _ask_redis(backend: Any) -> None:
    key = backend.get_key_for_task("procman")
    try_commands(backend.client.connection_pool, [("SETEX", key, "1", ""), ("GET", key), ("PUBLISH", key, "")])


def _ask_database(backend: Any) -> None:
    engine = importlib.import_module("sqlalchemy").create_engine(backend.url, **backend.engine_options)
    if engine.dialect.name == "sqlite":  # a connection would create the file
        require_file(engine.url.database)
    else:
        engine.connect().close()


def require_file(path: Optional[str]) -> None:
    """Raise Fault if SQLite could not write to the database `path`, or create it; one in memory needs no file."""
    if not path or path.startswith((":memory:", "file:")):
        return
    _require_directory(os.path.dirname(os.path.abspath(path)))
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise Fault("directory", "this user cannot write to the file %s" % path)
