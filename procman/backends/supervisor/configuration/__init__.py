"""The readers of supervisord's configuration files."""
