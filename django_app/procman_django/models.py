"""Models without tables: they carry the permissions, and are the entries of the admin's section."""

from django.db import models


class WithoutTable(models.Manager):
    """Finds nothing: `manage.py dumpdata` asks every model for its rows."""

    def get_queryset(self):
        """Return no rows, without a query."""
        return super().get_queryset().none()


class Program(models.Model):
    """A program of procman. Its permissions are those of the whole section."""

    objects = WithoutTable()

    class Meta:
        managed = False
        base_manager_name = "objects"
        default_permissions = ()
        permissions = [
            ("view_program", "Can see programs, workers, tasks and queues"),
            ("control_program", "Can give orders to workers"),
            ("view_task_arguments", "Can see the arguments of tasks"),
        ]
        verbose_name = "program"
        verbose_name_plural = "programs"


class Worker(Program):
    """The page of the workers and their tasks."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "worker"
        verbose_name_plural = "workers and tasks"


class Queue(Program):
    """The page of the queues."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = "queue"
        verbose_name_plural = "queues"
