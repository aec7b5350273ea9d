"""PM728: whether workers can load the app's result backend and store results in it."""

from __future__ import annotations

from collections.abc import Iterator

from procman.model import Kind, Level, Result
from procman.preflight.inputs import AppAnswer, PreflightFacts
from procman.probes.app import AppFacts, ResultBackend
from procman.probes.broker_remedies import TROUBLES as OF_SERVERS

TROUBLES = {
    "ssl_cert_reqs": "a rediss:// URL needs the parameter ssl_cert_reqs",
    "url": "its URL or one of its settings is invalid",
    "unknown": "Celery knows no result backend of this name",
    "module": "a library that it needs is missing",
    "installed_apps": "its Django app is not among those of the project",
    "directory": "results cannot be written",
    "tables": "a table cannot be read",
    "database": "its database cannot be used",
    "refusal": "Redis refuses its commands",
    "timeout": OF_SERVERS["timeout"],
}
"""Its fault, by the kinds that the probe app_backend_script.py finds. Other kinds are those of a broker."""

REMEDIES = {
    "ssl_cert_reqs": "Append ?ssl_cert_reqs=required (after another parameter &ssl_cert_reqs=required) to {setting}.",
    "url": "Correct {setting}; percent-encode the special characters of its password (%23 for #, %2F for /).",
    "installed_apps": "Add django_celery_results to INSTALLED_APPS in the app's settings, then run manage.py migrate.",
    "database": "Start the database, or correct its address in the app's settings.",
    "refusal": "Correct {setting}: the results need a Redis that accepts SETEX, GET and PUBLISH.",
    "password": "Correct the user and password in {setting}.",
    "refused": "Start that server, or correct the host and port in {setting}.",
    "sentinel-password": "Correct sentinel_kwargs in result_backend_transport_options: requirepass in sentinel.conf.",
    "sentinel-master": "Correct master_name in result_backend_transport_options: redis-cli -p 26379 SENTINEL MASTERS",
    "plain": "Correct {setting}: use the port on which the server expects TLS, or redis:// instead of rediss://.",
}

PACKAGES = {
    "django-db": "django-celery-results",
    "django-cache": "django-celery-results",
    "redis": "'celery[redis]'",
    "rediss": "'celery[redis]'",
    "sentinel": "'celery[redis]'",
    "db": "'celery[sqlalchemy]'",
    "mongodb": "'celery[mongodb]'",
    "cache": "'celery[pymemcache]'",
    "elasticsearch": "'celery[elasticsearch]'",
    "dynamodb": "'celery[dynamodb]'",
    "s3": "'celery[s3]'",
}
"""What a result backend needs, by its scheme."""


def results_can_be_stored(preflight: PreflightFacts) -> Iterator[Result]:
    """Yield PM728: a worker that cannot load its result backend exits at every start."""
    for each, app in preflight.loaded():
        backend = app.result_backend
        is_for_workers = any(program.kind is Kind.WORKER for program in each.programs)
        if not is_for_workers or not backend.url or backend.url.startswith("disabled"):
            continue
        if not backend.trouble:
            yield Result("PM728", each.name, Level.OK, f"the result backend {backend.url} can be used")
        elif not (backend.starts and _is_reported_as_broker(each, app)):
            loss = "a worker starts, but no result can be stored" if backend.starts else "a worker exits at every start"
            level = Level.WARNING if backend.starts else Level.CRITICAL
            detail = f"{_cause(backend)}: {loss}"
            yield Result("PM728", each.name, level, detail, _remedy(preflight, backend))


def _cause(backend: ResultBackend) -> str:
    what = TROUBLES.get(backend.trouble) or OF_SERVERS.get(backend.trouble, "it cannot be used")
    detail = f" ({backend.detail})" if backend.detail else ""
    return f"the result backend {backend.url}: {what}{detail}"


def _is_reported_as_broker(each: AppAnswer, app: AppFacts) -> bool:
    """Return whether the broker is the same server and cannot be reached either, which PM721 reports."""
    places = {what: {(s.host, s.port) for s in app.services if s.what == what} for what in ("broker", "result backend")}
    is_down = each.broker is not None and each.broker.reachable is False
    return is_down and bool(places["broker"] & places["result backend"])


def _remedy(preflight: PreflightFacts, backend: ResultBackend) -> str:
    setting = backend.origin or "result_backend in the app's settings"
    if backend.trouble in ("module", "unknown"):
        package = PACKAGES.get(backend.url.partition("://")[0].partition("+")[0])
        return preflight.install_hint(package) if package else f"Correct {setting}, or install the library it needs."
    if backend.trouble == "tables":
        return preflight.migrate_hint
    if backend.trouble == "directory":
        return f"Create it, and let {preflight.user} write to it, or correct {setting}."
    return REMEDIES.get(backend.trouble, "Check that server and {setting}.").format(setting=setting)
