"""Rules for supervisord's and systemd's files that procman did not write: pure functions of their content."""
