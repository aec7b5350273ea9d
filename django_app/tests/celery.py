"""A Celery app whose broker is in this process's memory."""

from celery import Celery

app = Celery("tests", broker="memory://", fixups=[])
app.conf.task_default_queue = "crop"


@app.task(name="tests.crop")
def crop(name):
    """Do nothing."""
