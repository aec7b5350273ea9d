"""Units of systemd: of the host, or of one user."""
