"""Find existing programs that a project adopts, stop them gracefully, and bring them back; one module per scheme."""
