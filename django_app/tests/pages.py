"""A user of the admin with some permissions, and what a worker answers: the base of the tests of the pages."""

from unittest import mock

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import TestCase
from django.urls import reverse
from procman_django import workers

from .state import State

ATTACK = '<script>alert("x")</script>'

TASK = workers.RemoteTask("3f1c", ATTACK, "('secret',)", 1700000000.0, "")
WORKER = workers.Worker("crop@host", "prefork", 2, 8, [TASK], [], [], ["crop"], ["tests.crop"])


def address(model, what="changelist"):
    return reverse("admin:procman_django_%s_%s" % (model, what))


class PagesTest(TestCase):
    """A user of the admin with some permissions."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)

    def user(self, *permissions, name="user"):
        user = get_user_model().objects.create_user(name, password="x", is_staff=True)
        chosen = Permission.objects.filter(content_type__app_label="procman_django", codename__in=permissions)
        self.assertEqual(len(chosen), len(permissions))
        user.user_permissions.set(chosen)
        self.client.force_login(user)
        return user

    def order(self, reply=None, worker=WORKER, **fields):
        replies = {"crop@host": {"ok": "done"}} if reply is None else reply
        with mock.patch("procman_django.orders.send", return_value=replies) as send:
            with mock.patch("procman_django.workers.ask_worker", return_value=worker):
                answer = self.client.post(address("worker", "order"), fields, follow=True)
        return answer, [call[0][0] for call in send.call_args_list]
