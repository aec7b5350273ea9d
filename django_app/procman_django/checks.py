"""System checks of the project's Celery settings: `manage.py check --tag celery`. None of them connects anywhere."""

from django.conf import settings
from django.core import checks

from . import celery_app, section

TAG = "celery"

VISIBILITY_SECONDS = {"redis": 3600, "rediss": 3600, "sentinel": 3600, "sqs": 1800}
"""The default after which kombu delivers an unacknowledged message again, by the scheme of the broker's URL."""

DEFAULT_URLS = tuple(
    "%s://guest:guest@localhost%s//" % (scheme, port) for scheme in ("amqp", "pyamqp") for port in ("", ":5672")
)

PICKLES = ("pickle", "application/x-python-serialize")


def register():
    """Register the checks with Django."""
    checks.register(check_celery, TAG)


def check_celery(**_):
    """Return the problems in the settings of the project's Celery app; none if it has none."""
    try:
        app = celery_app.find_app()
    except celery_app.NoApp as error:
        text = "%s: %s" % (error, error.__cause__)
        return [
            checks.Error(text, hint="Write it as MODULE:NAME, such as mysite.celery:app.", id="procman_django.E001")
        ]
    if app is None:
        return []
    found = []
    for check in _CHECKED:
        found.extend(_problems(check, app))
    return found


def _problems(check, app):
    # A setting that Celery itself may refuse must not end every command of manage.py.
    try:
        return list(check(app))
    except Exception as error:
        text = "The check of %s cannot read Celery's settings: %s" % (_CHECKED[check], type(error).__name__)
        return [_warning(8, text, "Compare their types with Celery's documentation.")]


def _warning(number, text, hint):
    return checks.Warning(text, hint=hint, id="procman_django.W%03d" % number)


def _visibility(app):
    scheme = _scheme(app)
    default = VISIBILITY_SECONDS.get(scheme)
    if default is None:
        return
    chosen = (app.conf.broker_transport_options or {}).get("visibility_timeout")
    visible = chosen or default
    limits = [app.conf.task_time_limit, *(getattr(task, "time_limit", None) for task in _tasks(app))]
    longest = max((limit for limit in limits if isinstance(limit, (int, float))), default=None)
    if longest is not None and visible < longest:
        yield _warning(
            1,
            "A task may run for %d s, and the broker delivers it again after %d." % (longest, visible),
            "Set visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS above the longest time limit; otherwise a long "
            "task with acks_late is run twice.",
        )
    if chosen is None and _has_eta_tasks():
        yield _warning(
            2,
            "Tasks with an ETA have been seen, and visibility_timeout has its default of %d seconds." % default,
            "Set visibility_timeout in CELERY_BROKER_TRANSPORT_OPTIONS above the longest countdown; otherwise a "
            "waiting task is delivered again and again.",
        )


def _eager(app):
    if app.conf.task_always_eager:
        yield _warning(
            3,
            "Tasks run in the process that sends them, because task_always_eager is set.",
            "Remove CELERY_TASK_ALWAYS_EAGER from the settings of this host; it is for tests.",
        )


def _pickle(app):
    accepted = set(app.conf.accept_content or ()) | set(app.conf.result_accept_content or ())
    used = {app.conf.task_serializer, app.conf.result_serializer}
    if (accepted | used).intersection(PICKLES):
        yield _warning(
            4,
            "Messages are unpickled: any user who can send one to the broker can run code as the workers' user.",
            'Set CELERY_ACCEPT_CONTENT = ["json"] and the serializers to "json".',
        )


def _quorum(app):
    import celery

    is_default = app.conf.get("task_default_queue_type") == "quorum"
    if not is_default and not any(map(_is_quorum, _queues(app))):
        return
    if tuple(int(each) for each in celery.__version__.split(".")[:2]) < (5, 5):
        yield _warning(
            5,
            "Celery %s cannot consume from quorum queues." % celery.__version__,
            "Upgrade Celery to 5.5 or later: earlier versions set a global prefetch count, which quorum queues refuse.",
        )
        return
    if not app.conf.get("worker_detect_quorum_queues"):
        yield _warning(
            5,
            "The project has quorum queues, but worker_detect_quorum_queues is off.",
            "Set CELERY_WORKER_DETECT_QUORUM_QUEUES = True: quorum queues refuse a global prefetch count.",
        )
    if not (app.conf.broker_transport_options or {}).get("confirm_publish"):
        yield _warning(
            6,
            "The project has quorum queues, but messages are sent without waiting for the broker's confirmation.",
            'Set CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}.',
        )


def _broker_url(app):
    if settings.DEBUG or app.conf.task_always_eager:
        return
    if not _urls(app) or any(url in DEFAULT_URLS for url in _urls(app)):
        yield _warning(
            7,
            "The broker's URL is Celery's default, the account guest of a RabbitMQ on this host.",
            "Set CELERY_BROKER_URL, with an account and virtual host of the project's own.",
        )


def _urls(app):
    url = app.conf.broker_write_url or app.conf.broker_url or ()
    return url.split(";") if isinstance(url, str) else list(url)


def _scheme(app):
    return next(iter(_urls(app)), "amqp").partition(":")[0].partition("+")[0]


def _tasks(app):
    return list(app.tasks.values())


def _queues(app):
    queues = app.conf.task_queues or ()
    return list(queues.values()) if hasattr(queues, "values") else list(queues)


def _is_quorum(queue):
    # Celery takes a queue as a dict, too.
    arguments = queue.get("queue_arguments") if isinstance(queue, dict) else queue.queue_arguments
    return (arguments or {}).get("x-queue-type") == "quorum"


def _has_eta_tasks():
    return any(program.scheduled for program in section.shown_programs())


_CHECKED = {
    _visibility: "the visibility timeout",
    _eager: "task_always_eager",
    _pickle: "the serializers",
    _quorum: "quorum queues",
    _broker_url: "the broker's URL",
}
