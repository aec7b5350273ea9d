"""The tasks that the web pages of a real CATMAID would send, and the one that beat sends."""

from celery import shared_task
from django.conf import settings

from catmaid.control import cropping


@shared_task
def process_crop_job(name, seconds):
    """Crop a stack into a file named after `name`, which appears only when it is complete."""
    return cropping.crop(name, seconds)


@shared_task
def cleanup_cropped_stacks():
    """Remove old crops."""
    removed = cropping.cleanup(settings.CROP_MAX_AGE_SECONDS)
    return "Cleaned cropped stacks directory: %d removed" % removed
