"""The routes that there are, read from the URLconf: `routes()`."""

import re
from dataclasses import dataclass

from django.urls import URLPattern, get_resolver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """One URL pattern. `methods` are those that its view has; a plain function has the ones that
    the table names, and the test sees that it refuses the others."""

    path: str
    methods: tuple
    is_djangos: bool

    @property
    def parameters(self):
        return re.findall(r"{(\w+)}", self.path)


def routes():
    """Every route, but for the pattern that answers 404 to what is left under /api/."""
    return [route for route in walk(get_resolver()) if not route.path.startswith("/^")]


def walk(resolver, before="/"):
    for pattern in resolver.url_patterns:
        path = before + _PARAMETER.sub(r"{\1}", str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            yield Route(path, methods_of(pattern.callback), is_djangos(pattern, path))
        else:
            yield from walk(pattern, path)


def methods_of(view):
    """The methods of a class-based view; nothing for a function, which does not tell."""
    kind = getattr(view, "cls", None) or getattr(view, "view_class", None)
    if kind is None:
        return ()
    allowed = getattr(view, "initkwargs", {}).get("http_method_names") or getattr(
        view, "view_initkwargs", {}
    ).get("http_method_names", kind.http_method_names)
    return tuple(m for m in METHODS if m.lower() in allowed and hasattr(kind, m.lower()))


def is_djangos(pattern, path):
    """Whether it is a page of Django's admin, also one that we only add to."""
    view = getattr(pattern.callback, "view_class", pattern.callback)
    pages = ("_changelist", "_add", "_change", "_history", "_delete")
    is_made_there = view.__module__.startswith("django.") or path == "/admin/login/"
    return path.startswith("/admin/") and (is_made_there or str(pattern.name).endswith(pages))


def address(path):
    """A path of Django's admin with something in its parameters."""
    return re.sub(r"{\w+}", "1", path.partition("^")[0].partition("(")[0])
