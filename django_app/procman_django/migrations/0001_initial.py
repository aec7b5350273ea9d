"""No table: only the permissions, which Django creates after the migration."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Declare the models."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Program",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ],
            options={
                "verbose_name": "program",
                "verbose_name_plural": "programs",
                "permissions": [
                    ("view_program", "Can see programs, workers, tasks and queues"),
                    ("control_program", "Can give orders to workers"),
                    ("view_task_arguments", "Can see the arguments of tasks"),
                ],
                "managed": False,
                "base_manager_name": "objects",
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[],
            options={
                "verbose_name": "worker",
                "verbose_name_plural": "workers and tasks",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("procman_django.program",),
        ),
        migrations.CreateModel(
            name="Queue",
            fields=[],
            options={
                "verbose_name": "queue",
                "verbose_name_plural": "queues",
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("procman_django.program",),
        ),
    ]
