"""The only code that touches paths as root: by directory descriptor, never through a link."""
