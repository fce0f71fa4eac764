"""Pages of examples: search, one whole example, deletion."""

import asyncio
import urllib.parse

from starlette.requests import Request
from starlette.responses import Response

from jaxalign.io.serve.admin import views
from jaxalign.io.serve.admin.access import Session
from jaxalign.io.serve.admin.parts import Form, Parts
from jaxalign.io.serve.store.rows import SHARED

ORDERS = "gain", "offloads", "created", "replays"
PAGE = 25
MOST_PAGES = 100_000
MOST_QUERY = 512  # characters
_NUMBER = 16  # digits


class ExamplePages:
    """The handlers of these pages.

    Args:
      parts: the store and the settings.
    """

    def __init__(self, parts: Parts):
        self._parts = parts

    async def found(self, request: Request, session: Session, form: Form) -> Response:
        """Shows one page of what was searched for.

        Args:
          request: with ``contains``, ``tenant``, ``order`` and ``page``, which begins with 0, in its query.
          session: of the operator.
          form: not used.

        Raises:
          ValueError: one of these is not what it should be.
        """
        parts, query = self._parts, request.query_params
        contains, order, tenant = query.get("contains", ""), query.get("order", "gain"), parts.tenant_of(request)
        place = _number(query.get("page", "0"), "page")
        if order not in ORDERS:
            raise ValueError(f"order: expected one of {', '.join(ORDERS)}, got {order!r}")
        if len(contains) > MOST_QUERY:
            raise ValueError(f"contains: expected at most {MOST_QUERY} characters, got {len(contains)}")
        if place > MOST_PAGES:
            raise ValueError(f"page: expected at most {MOST_PAGES}, got {place}; search for a text instead")
        asked = {"tenant": tenant, "contains": contains, "order": order}
        rows, tenants = await asyncio.gather(
            parts.call(parts.store.find_examples, **asked, limit=PAGE + 1, offset=PAGE * place),
            parts.call(parts.store.tenants),
        )
        here = {name: value for name, value in asked.items() if value not in (None, "")}
        return views.page(
            "examples.html",
            token=session.token,
            rows=rows[:PAGE],
            tenants={SHARED: "shared pool", **tenants},
            tenant=tenant,
            contains=contains,
            orders=ORDERS,
            order=order,
            here=_path(**here, page=place),
            before=_path(**here, page=place - 1) if place else None,
            after=_path(**here, page=place + 1) if len(rows) > PAGE else None,
            first=PAGE * place + 1,
        )

    async def one(self, request: Request, session: Session, form: Form) -> Response:
        """Shows one example with all of its texts.

        Args:
          request: with ``id`` in its path.
          session: of the operator.
          form: not used.
        """
        parts, number = self._parts, request.path_params["id"]
        rows = await parts.call(parts.store.examples, [number]) if number < 10**_NUMBER else []
        if not rows:
            return views.message(404, "There is no such example", f"Number {number} is gone.", token=session.token)
        tenants = {SHARED: "shared pool", **await parts.call(parts.store.tenants)}
        return views.page("example.html", token=session.token, row=rows[0], tenants=tenants)

    async def delete(self, request: Request, session: Session, form: Form) -> Response:
        """Deletes examples, once the operator is sure.

        Args:
          request: a POST.
          session: of the operator.
          form: with ``one`` or any ``id``, where to go ``back``, and ``sure`` if it comes from the question.

        Raises:
          ValueError: no example was chosen.
        """
        ids = sorted({_number(value, "id") for value in form.get("one", form.get("id", []))})
        if not ids:
            raise ValueError("no example was chosen; tick some, or use the button of one")
        back = form.get("back", [""])[0]
        back = back if back.startswith("/admin/examples?") and back.isprintable() else "/admin/examples"
        if "sure" in form:
            await self._parts.call(self._parts.store.delete_examples, ids)
            return views.moved(back)
        rows = await self._parts.call(self._parts.store.examples, ids)
        return views.page(
            "confirm.html",
            token=session.token,
            title=f"Delete {len(rows)} example{'s' if len(rows) != 1 else ''}?",
            text="They are not shown any more, and their texts and vectors go. There is no way back.",
            shown=[(row.id, row.request) for row in rows],
            action="/admin/examples/delete",
            fields=[*(("id", str(row.id)) for row in rows), ("back", back)],
            back=back,
        )


def _number(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < _NUMBER):
        raise ValueError(f"{name}: expected a number, got {text!r}")
    return int(text)


def _path(**query: object) -> str:
    return f"/admin/examples?{urllib.parse.urlencode(query)}"
