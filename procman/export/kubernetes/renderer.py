"""Render the files of a Kustomize base, and of the optional bases beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from procman.backends.record import Rule
from procman.export.containers import TOP, Contained, replicated
from procman.export.kubernetes.agent import agent_maps
from procman.export.kubernetes.pod import USER_ID, common_environment, pod
from procman.export.kubernetes.rules import NEWEST, RULES, grace_seconds, is_newer, since
from procman.model import Kind
from procman.project import Project, RenderedFile, Rendering, Worker
from procman.templating import Templates

TEMPLATES = {
    Kind.WORKER: "kubernetes/worker.yaml.j2",
    Kind.BEAT: "kubernetes/beat.yaml.j2",
    Kind.COMMAND: "kubernetes/command.yaml.j2",
}

BROKER_PARAMETERS = {"rabbitmq": "host", "redis": "address"}
"""The parameter of KEDA's scalers with the address of the broker."""

BUDGETS = "disruption_budgets.yaml"
"""No program has a name with an underscore, and thus no manifest of a program this one."""

MAX_REPLICAS = 10

LONGEST_WINDOW_SECONDS = 3600
"""The longest `stabilizationWindowSeconds` that the autoscaler accepts."""


@dataclass(frozen=True)
class Kubernetes:
    """The export target `kubernetes`."""

    name: str = "kubernetes"
    rules: tuple[Rule, ...] = RULES

    def render(self, project: Project) -> Rendering:
        """Return the base, and beside it the bases with a ScaledObject for KEDA and with a NetworkPolicy."""
        return Rendering((), tuple(_Renderer(project).files()))

    def notes(self, project: Project) -> Iterator[str]:
        """Yield what the manifests assume because no key sets it."""
        settings = project.kubernetes
        if settings.image is None:
            yield f"[kubernetes] image is not set: an overlay has to replace the image {project.name} of the manifests"
        if settings.user_id is None:
            yield f"[kubernetes] user_id is not set: the programs run as {USER_ID}, not as {project.user} of the image"
        if is_newer(project):
            yield f"[kubernetes] version {settings.version} is newer than any that procman knows ({NEWEST})"


TARGET = Kubernetes()


class _Renderer:
    def __init__(self, project: Project) -> None:
        self.project = project
        self.programs = replicated(project)
        self.environment = common_environment(self.programs)
        self.maps = agent_maps(project)
        self.templates = Templates(project.templates)

    def files(self) -> Iterator[RenderedFile]:
        """Yield the files, `kustomization.yaml` first."""
        manifests = [*self._manifests()]
        resources = [file.path.name for file in manifests]
        yield self._file("kustomization.yaml", "kustomization", resources=resources, environment=self.environment)
        if self.environment:
            yield self._file("environment.env", "environment.env", environment=self.environment.items())
        yield from manifests
        yield from self._optional()

    def _manifests(self) -> Iterator[RenderedFile]:
        for each in self.programs:
            values = pod(self.project, each, self.environment, self.maps) | self._of_controller(each)
            yield self._file(f"{each.program.name}.yaml", TEMPLATES[each.kind], **values)
        workers = self._of_kind(Kind.WORKER)
        if workers:
            yield self._file(
                BUDGETS,
                "disruption-budgets",
                api="policy/v1" if since(self.project, "1.21") else "policy/v1beta1",
                always=since(self.project, "1.27"),
                workers=[each.program.name for each in workers],
            )
        for one in self.maps:
            yield self._file(f"{one.name}.yaml", "agent", map=one)

    def _of_controller(self, each: Contained) -> dict[str, object]:
        replicas = each.replicas if each.program.autostart else 0
        return {
            # Each apply would undo what KEDA did.
            "replicas": None if self._is_scaled(each) else replicas,
            "instances": each.replicas,
            "start_seconds": each.program.start_seconds,
            "schedule_mib": self.project.kubernetes.schedule_mib,
        }

    def _optional(self) -> Iterator[RenderedFile]:
        scaled = [each for each in self.programs if self._is_scaled(each)]
        if scaled:
            yield self._file("keda/kustomization.yaml", "kustomization", resources=["scaled-objects.yaml"])
            objects = [_scaling(self.project, each) for each in scaled]
            parameter = BROKER_PARAMETERS[self.project.kubernetes.keda_broker or ""]
            yield self._file("keda/scaled-objects.yaml", "scaled-objects", objects=objects, parameter=parameter)
        if self.project.kubernetes.egress_ports:
            yield self._file("network-policy/kustomization.yaml", "kustomization", resources=["network-policy.yaml"])
            yield self._file(
                "network-policy/network-policy.yaml", "network-policy", ports=self.project.kubernetes.egress_ports
            )

    def _of_kind(self, kind: Kind) -> list[Contained]:
        return [each for each in self.programs if each.kind is kind]

    def _is_scaled(self, each: Contained) -> bool:
        has_queues = isinstance(each.program.options, Worker) and bool(each.program.options.queues)
        return has_queues and each.program.autostart and self.project.kubernetes.keda_broker is not None

    def _file(self, path: str, template: str, **values: object) -> RenderedFile:
        name = template if "/" in template else f"kubernetes/{template}{'' if '.' in template else '.yaml'}.j2"
        text = self.templates.render(name, {"project": self.project, "environment": {}} | values)
        return RenderedFile(TOP / path, text, 0o644, None, None, _names(self.programs))


def _names(programs: Iterable[Contained]) -> tuple[str, ...]:
    return tuple(each.program.name for each in programs)


def _scaling(project: Project, each: Contained) -> dict[str, object]:
    worker = each.program.options
    assert isinstance(worker, Worker)
    return {
        "name": each.program.name,
        "least": max(each.replicas, 1),
        "most": max(each.program.kubernetes.max_replicas or MAX_REPLICAS, each.replicas),
        "window": min(max(grace_seconds(project, each), 300), LONGEST_WINDOW_SECONDS),
        "queues": worker.queues,
        "messages": str(worker.concurrency if isinstance(worker.concurrency, int) else (worker.autoscale or (1,))[0]),
    }
