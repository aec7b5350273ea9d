"""Install, roll out, roll back, uninstall, start and stop programs, and move between backends."""
