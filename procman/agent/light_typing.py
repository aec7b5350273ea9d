"""The names of `typing` in the files that the probe imports: `typing` itself would take a third of its CPU time."""

TYPE_CHECKING = False  # mypy takes it for true

if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple
else:
    from collections import namedtuple

    class _Annotation:
        """What an annotation is at run time, where nothing looks at it."""

        def __getitem__(self, _):
            return self

    Any = Callable = Dict = Iterable = List = Mapping = Optional = Tuple = _Annotation()

    class _Record(type):
        """Makes a class of fields a named tuple with defaults, as `typing.NamedTuple` does."""

        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = _annotations(namespace)
            made = namedtuple(name, fields, module=namespace["__module__"])
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            made.__new__.__defaults__ = tuple(defaults.values())
            made._field_defaults = defaults
            for key, value in namespace.items():
                if key not in ("__annotations__", "__annotate_func__"):
                    setattr(made, key, value)
            return made

    def _annotations(namespace):
        # From Python 3.14 on, a class has a function in their place (PEP 649); 1 asks for values.
        evaluate = namespace.get("__annotate_func__")
        return evaluate(1) if evaluate else namespace.get("__annotations__", {})

    class NamedTuple(metaclass=_Record):
        """The base of each record."""


__all__ = ["Any", "Callable", "Dict", "Iterable", "List", "Mapping", "NamedTuple", "Optional", "Tuple"]
