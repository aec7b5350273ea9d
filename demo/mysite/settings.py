"""Settings of the demo: no database and no web pages, only what Celery needs.

These environment variables override the defaults:

DEMO_DATA_DIRECTORY        where all data is kept, default `var` beside manage.py
DEMO_CLEANUP_SECONDS       how often old crops are removed, default every night
DEMO_CROP_MAX_AGE_SECONDS  age at which a crop is removed, default one day
CELERY_BROKER_URL          a real broker, such as amqp://guest:guest@localhost:5672//
"""

import os

from celery.schedules import crontab

PROJECT_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA_DIRECTORY = os.path.abspath(os.environ.get("DEMO_DATA_DIRECTORY") or os.path.join(PROJECT_DIRECTORY, "var"))

SECRET_KEY = "of-no-use-outside-the-demo"
INSTALLED_APPS = ["catmaid", "counting"]
DATABASES = {}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True

MEDIA_ROOT = os.path.join(DATA_DIRECTORY, "media")
TMP_DIR = os.path.join(MEDIA_ROOT, "crops")
CROP_MAX_AGE_SECONDS = float(os.environ.get("DEMO_CROP_MAX_AGE_SECONDS") or 24 * 60 * 60)
COUNTED_DIRECTORY = os.path.join(DATA_DIRECTORY, "counted")

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL") or "filesystem://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = TIME_ZONE
CELERY_WORKER_CONCURRENCY = 1

_cleanup_seconds = os.environ.get("DEMO_CLEANUP_SECONDS")
CELERY_BEAT_SCHEDULE = {
    "cleanup-cropped-stacks": {
        "task": "catmaid.tasks.cleanup_cropped_stacks",
        "schedule": float(_cleanup_seconds) if _cleanup_seconds else crontab(minute=0, hour=0),
    },
}

if CELERY_BROKER_URL.startswith("filesystem:"):
    _broker_directory = os.path.join(DATA_DIRECTORY, "broker")
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        # The same folder for both, because this project sends messages to itself.
        "data_folder_in": os.path.join(_broker_directory, "messages"),
        "data_folder_out": os.path.join(_broker_directory, "messages"),
        # With this, taking a message is one rename. Without it, kombu moves the message to the temporary directory;
        # if that is on another file system, the move is a copy that a kill can interrupt.
        "store_processed": True,
        "processed_folder": os.path.join(_broker_directory, "processed"),
        # For kombu 5.3 and later, which otherwise creates a directory `control` in the working directory.
        "control_folder": os.path.join(_broker_directory, "control"),
        "polling_interval": 0.1,
    }
    # kombu creates none of these, not even the parent of its control folder.
    for _name in ("messages", "processed", "control"):
        os.makedirs(os.path.join(_broker_directory, _name), exist_ok=True)
