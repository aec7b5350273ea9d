"""Render a project as a Kustomize base, for `kubectl apply -k`."""

from procman.export.kubernetes.renderer import TARGET

__all__ = ["TARGET"]
