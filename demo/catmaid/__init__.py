"""The demo's one real application: it crops image stacks, as CATMAID does."""
