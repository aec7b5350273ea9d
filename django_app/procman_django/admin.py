"""The section "Celery" of Django's admin: programs, workers and tasks, queues."""

import time
from functools import wraps

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from . import orders, programs, queues, section, workers
from .celery_app import NoAnswer
from .models import Program, Queue, Worker

CONTROL = "procman_django.control_program"
VIEW = "procman_django.view_program"
ARGUMENTS = "procman_django.view_task_arguments"


class Page(admin.ModelAdmin):
    """A page in place of a list of objects: nothing can be added, changed or deleted."""

    template = ""
    heading = ""

    def has_add_permission(self, request, *_, **__):
        """Return False."""
        return False

    has_change_permission = has_add_permission
    has_delete_permission = has_add_permission

    def has_view_permission(self, request, obj=None):
        """Return whether the user may see the section."""
        return request.user.is_active and request.user.has_perm(VIEW)

    def has_module_permission(self, request):
        """Return the same."""
        return self.has_view_permission(request)

    def get_urls(self):
        """Return the address of the page, with the names that the admin links to."""
        return [
            path("", self._guarded(self.changelist_view), name=self._name("changelist")),
            *self.more_urls(),
            path("<path:object_id>/change/", self._guarded(self.change_view), name=self._name("change")),
        ]

    def more_urls(self):
        """Return further addresses."""
        return []

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Go from an entry of the admin log to the page."""
        return HttpResponseRedirect(self.address("changelist"))

    def changelist_view(self, request, extra_context=None):
        """Show the page."""
        return self.page(request, self.template, self.content(request))

    def content(self, request):
        """Return the variables of the template."""
        return {}

    def page(self, request, template, content, status=None):
        """Return a page of the section."""
        context = {
            **self.admin_site.each_context(request),
            "title": self.heading,
            "opts": self.model._meta,
            "can_control": request.user.has_perm(CONTROL),
            "sees_arguments": request.user.has_perm(ARGUMENTS),
            "pages": self.pages(),
            "now": section.moment(time.time()),
            **content,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "procman_django/" + template, context, status=status)

    def pages(self):
        """Return the headings and addresses of all pages of the section."""
        return [
            (page.heading, self.address("changelist", page.model_name), page.heading == self.heading) for page in PAGES
        ]

    def address(self, what, model_name=None):
        """Return the address of the page `what`."""
        name = "%s:procman_django_%s_%s" % (self.admin_site.name, model_name or self.model._meta.model_name, what)
        return reverse(name)

    def _name(self, what):
        return "procman_django_%s_%s" % (self.model._meta.model_name, what)

    def _guarded(self, view, permission=VIEW):
        """Return `view` for users of the admin who have `permission`; the admin adds the protection against CSRF."""

        @wraps(view)
        def guarded(request, *arguments, **named):
            if not request.user.has_perm(VIEW) or not request.user.has_perm(permission):
                raise PermissionDenied
            return view(request, *arguments, **named)

        return self.admin_site.admin_view(guarded)


class ProgramPage(Page):
    """The programs, from procman's files alone."""

    template = "programs.html"
    heading = "Programs"
    model_name = "program"

    def content(self, request):
        """Return the project, its programs and events."""
        project, problem = section.chosen_project()
        view = programs.view_of(project) if project else None
        return {
            "project": project,
            "problem": problem,
            "programs": view.programs if view else [],
            "events": [(section.moment(event.at), event) for event in view.events] if view else [],
            "problems": view.problems if view else [],
        }


class WorkerPage(Page):
    """The workers and their tasks, as they answer, and the orders."""

    template = "workers.html"
    heading = "Workers and tasks"
    model_name = "worker"

    def more_urls(self):
        """Return the addresses of the answers and of the orders."""
        return [
            path("answers/", self._guarded(self.answers_view), name=self._name("answers")),
            path("order/", self._guarded(self.order_view, CONTROL), name=self._name("order")),
        ]

    def content(self, request):
        """Return the answers themselves for a browser without JavaScript."""
        return self._answers(request) if "ask" in request.GET else {"answers": self.address("answers")}

    def answers_view(self, request):
        """Return the part of the page that the workers answer."""
        return self.page(request, "workers_answers.html", self._answers(request))

    def _answers(self, request):
        content = {
            "order": self.address("order"),
            "asked": True,
            "queues": queues.known_queues(section.shown_programs()),
        }
        try:
            return {**content, "workers": [_shown(worker) for worker in workers.ask_workers()]}
        except NoAnswer as error:
            return {**content, "broker_problem": error.sentence}

    # With ATOMIC_REQUESTS an error would take back the entry of the log, but not the order.
    @transaction.non_atomic_requests
    def order_view(self, request):
        """Send an order; one that costs something has to be confirmed first."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = HttpResponseRedirect(self.address("changelist"))
        try:
            order = orders.read_order(request.POST, queues.known_queues(section.shown_programs()))
        except orders.Refused as error:
            messages.error(request, str(error))
            return back
        if order.loss and request.POST.get("confirmed") != "yes":
            fields = [(name, request.POST.get(name, "")) for name in ("order", "node", "task_id")]
            content = {"wanted": order, "fields": fields, "order": self.address("order"), "title": "Are you sure?"}
            return self.page(request, "confirm.html", {**content, "back": self.address("changelist")})
        try:
            orders.check(order)
        except orders.Refused as error:
            messages.error(request, str(error))
        except NoAnswer as error:
            messages.error(request, "Nothing was sent: %s" % error.sentence)
        else:
            self._send(request, order)
        return back

    def _send(self, request, order):
        # First the log: no order without an entry.
        entry = LogEntry.objects.create(
            user_id=request.user.pk,
            content_type=ContentType.objects.get_for_model(Program),
            object_id=str(order.arguments.get("task_id") or order.node),
            object_repr=order.text[:200],
            action_flag=CHANGE,
            change_message="Order: %s." % order.text,
        )
        try:
            replies = orders.send(order)
            answer = orders.described(order, replies)
            if orders.is_confirmed(replies):
                messages.success(request, ("Sent: %s (%s). %s" % (order.text, answer, order.note)).rstrip())
            else:
                messages.warning(request, "Sent: %s, but not confirmed (%s)" % (order.text, answer))
        except NoAnswer as error:
            answer = orders.unanswered(error)
            messages.error(request, ("Not confirmed: %s (%s). %s" % (order.text, answer, error.remedy)).rstrip())
        entry.change_message = "Order: %s. Answer: %s" % (order.text, answer)
        entry.save(update_fields=["change_message"])


class QueuePage(Page):
    """The queues, from heartbeats and as the broker answers."""

    template = "queues.html"
    heading = "Queues"
    model_name = "queue"

    def more_urls(self):
        """Return the address of the answers."""
        return [path("answers/", self._guarded(self.answers_view), name=self._name("answers"))]

    def content(self, request):
        """Return the queues of the heartbeats, and without JavaScript those of the broker."""
        if "ask" in request.GET:
            content = self._answers()
        else:
            content = {"rows": _rows(section.shown_programs(), {}), "answers": self.address("answers")}
        return {**content, "problem": section.chosen_project()[1]}

    def answers_view(self, request):
        """Return the table of the queues as the broker has them."""
        return self.page(request, "queues_answers.html", self._answers())

    def _answers(self):
        shown = section.shown_programs()
        try:
            url = getattr(settings, "PROCMAN_MANAGEMENT_URL", None)
            found = queues.ask_queues(queues.known_queues(shown), url)
        except NoAnswer as error:
            return {"rows": _rows(shown, {}), "broker_problem": error.sentence, "asked": True}
        return {"rows": _rows(shown, {queue.name: queue for queue in found}), "asked": True}


def _rows(shown, answered):
    of_heartbeats, consumers = queues.of_heartbeats(shown)
    names = sorted({*of_heartbeats, *answered} or queues.known_queues([]))
    rows = []
    for name in names:
        queue = answered.get(name) or of_heartbeats.get(name) or queues.Queue(name)
        rows.append((queue, consumers.get(name, []), name in answered))
    return rows


def _shown(worker):
    """Return a worker with its tasks in the order of the page, each with the orders that make sense."""
    groups = (
        ("Running", worker.active, True),
        ("Reserved", worker.reserved, False),
        ("Scheduled", worker.scheduled, False),
    )
    tasks = [
        (state, task, section.moment(task.started), runs and worker.can_terminate)
        for state, found, runs in groups
        for task in found
    ]
    return {"worker": worker, "tasks": tasks}


PAGES = (ProgramPage, WorkerPage, QueuePage)


def register(site):
    """Register the section with the admin `site`."""
    site.register(Program, ProgramPage)
    site.register(Worker, WorkerPage)
    site.register(Queue, QueuePage)


register(admin.site)
