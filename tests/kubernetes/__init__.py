"""Trials of an exported project on a real Kubernetes (`make kubernetes`, as root): a control plane and two kubelets.

Debian has the source of Kubernetes 1.20.2 and no server. `build` builds that once, `cluster` runs it in network
namespaces of its own, and `trials` measures rollouts, ends, a drain and a node that freezes. No test of CI uses them.
"""
