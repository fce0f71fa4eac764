"""Pages from templates, with the headers that keep other sites and scripts out."""

import pathlib
import time
from collections.abc import Mapping
from typing import Any

import jinja2
from starlette.responses import RedirectResponse, Response

from jaxalign.io.serve.admin import formats

FOLDER = pathlib.Path(__file__).parent / "templates"
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    name: getattr(formats, name) for name in ("count", "share", "amount", "seconds", "moment", "ago", "cut", "plain")
}


def page(template: str, *, status: int = 200, token: str = "", **values: Any) -> Response:
    """Returns a page.

    Args:
      template: the name of its file.
      status: of the reply.
      token: of the session, for forms; "" for pages of nobody's.
      **values: what the template shows.
    """
    text = _TEMPLATES.get_template(template).render(token=token, now=time.time(), **values)
    return Response(text, status, HEADERS, "text/html")


def message(status: int, title: str, text: str, *, token: str = "") -> Response:
    """Returns a page that says one thing.

    Args:
      status: of the reply.
      title: its heading.
      text: what there is to say.
      token: of the session; "" for nobody's.
    """
    return page("message.html", status=status, token=token, title=title, text=text)


def moved(path: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Returns a reply by which the browser asks for another page.

    Args:
      path: of the page.
      headers: more headers.
    """
    return RedirectResponse(path, 303, HEADERS | dict(headers or {}))


def style_sheet() -> Response:
    """Returns the pages' style sheet."""
    headers = HEADERS | {"cache-control": "max-age=300"}
    return Response((FOLDER / "admin.css").read_bytes(), 200, headers, "text/css")
