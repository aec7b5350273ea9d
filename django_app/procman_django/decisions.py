"""What an administrator has decided about a program: whether it is stopped on purpose, and whether it is held."""

from . import files, values

MOST_BYTES = 65536


def read_order(project, program, boot):
    """Return the last stop of `program`, or its restart in progress; None if there is none since the boot.

    Raises Unreadable.
    """
    found = _read(project, "desired", program)
    is_of_it = isinstance(found, dict) and values.text(found, "program") == program.name
    return found if is_of_it and found.get("boot_id") == boot else None


def is_held(project, program, wall):
    """Return whether `program` is held at the time `wall`. Raises Unreadable."""
    # A hold that makes no sense holds, too.
    found = _read(project, "holds", program, corrupt={})
    until = values.number(found, "until")
    return isinstance(found, dict) and (until is None or until > wall)


def _read(project, directory, program, corrupt=None):
    content = files.read(project.place, (project.name, directory, program.name + ".json"), MOST_BYTES)
    try:
        return None if content is None else files.parse(content, MOST_BYTES)
    except ValueError:
        return corrupt
