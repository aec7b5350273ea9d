"""The demo's application: it crops image stacks, as CATMAID does."""
