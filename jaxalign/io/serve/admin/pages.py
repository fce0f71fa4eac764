"""The routes of the operators' page. All but the login need a session, and every form its token."""

import asyncio
import os
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from jaxalign.io.serve.admin import access, views
from jaxalign.io.serve.admin.examples import ExamplePages
from jaxalign.io.serve.admin.overview import PERIODS, first_minute, overview
from jaxalign.io.serve.admin.parts import CallStore, Form, Handle, Parts
from jaxalign.io.serve.config import ServeConfig
from jaxalign.io.serve.store.protocol import Store, StoreError

STORE_SECONDS = 15.0  # that all calls of a page may take that shows something


async def no_flush() -> None:
    """Does nothing."""


def admin_routes(
    store: Store,
    call_store: CallStore,
    config: ServeConfig,
    worker_status: Callable[[], Awaitable[Mapping[str, Any]]],
    *,
    flush: Callable[[], Awaitable[None]] = no_flush,
) -> list[Route]:
    """Returns the routes of the operators' page.

    Args:
      store: whose methods are called.
      call_store: awaits ``call_store(method, *args, **named)``, which calls a method of the store in a thread.
      config: the settings. The page is closed while the environment variable ``admin_key_env`` is not set.
      worker_status: awaits what the worker says of itself.
      flush: awaited before and after a user is deleted, so that what the worker still holds of the user goes too.
    """
    pages = _Pages(Parts(store, call_store, config), worker_status, flush)
    examples = ExamplePages(pages.parts)
    guard = pages.guarded
    return [
        Route("/admin/style.css", _style),
        Route("/admin/login", pages.login, methods=["GET", "POST"]),
        Route("/admin/logout", guard(pages.logout), methods=["POST"]),
        Route("/", guard(pages.overview)),
        Route("/admin/examples", guard(examples.found)),
        Route("/admin/examples/{id:int}", guard(examples.one)),
        Route("/admin/examples/delete", guard(examples.delete), methods=["POST"]),
        Route("/admin/users", guard(pages.users)),
        Route("/admin/users/delete", guard(pages.delete_user), methods=["POST"]),
        Route("/admin/policies", guard(pages.policies)),
        Route("/admin/policies/choose", guard(pages.choose_policy), methods=["POST"]),
    ]


async def _style(request: Request) -> Response:
    return views.style_sheet()


class _Pages:
    def __init__(self, parts: Parts, worker_status: Callable, flush: Callable):
        self.parts, self._worker_status, self._flush = parts, worker_status, flush

    def guarded(self, handle: Handle) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that needs a session; what fails becomes a page."""

        async def endpoint(request: Request) -> Response:
            if (key := self._key()) is None:
                return self._closed()
            session = access.read_session(request.cookies.get(access.COOKIE), key, time.time())
            if session is None:
                return _login_first(request)
            try:
                form = {}
                if request.method == "POST":
                    form = await access.read_form(request)
                    access.check_token(form, session)
                # What changes something is waited for: nobody would know whether it was done.
                async with asyncio.timeout(STORE_SECONDS if request.method == "GET" else None):
                    return await handle(request, session, form)
            except access.FormError as error:
                text = f"Nothing was done: {error}. Load the page again and repeat."
                return views.message(403, "This form is not valid", text, token=session.token)
            except (StoreError, TimeoutError) as error:
                text = f"{error or 'It took too long.'} Requests are still answered, without examples. Try again."
                return views.message(503, "The store does not answer", text, token=session.token)
            except ValueError as error:
                return views.message(400, "That is not possible", str(error), token=session.token)

        return endpoint

    async def login(self, request: Request) -> Response:
        if (key := self._key()) is None:
            return self._closed()
        to = _own_path(request.query_params.get("to", "/"))
        if request.method == "GET":
            return views.page("login.html", to=to, wrong=False)
        try:
            form = await access.read_form(request)
        except access.FormError as error:
            return views.message(403, "This form is not valid", f"Nothing was done: {error}.")
        if not access.equal(form.get("key", [""])[0], key):
            return views.page("login.html", status=403, to=to, wrong=True)
        secure = "; Secure" if request.url.scheme == "https" else ""
        cookie = f"{access.COOKIE}={access.begin_session(key, time.time())}; Max-Age={access.SESSION_SECONDS}"
        return views.moved(to, headers={"set-cookie": f"{cookie}; Path=/; HttpOnly; SameSite=Strict{secure}"})

    async def logout(self, request: Request, session: access.Session, form: Form) -> Response:
        cookie = f"{access.COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Strict"
        return views.moved("/admin/login", headers={"set-cookie": cookie})

    async def overview(self, request: Request, session: access.Session, form: Form) -> Response:
        parts, now = self.parts, time.time()
        period = request.query_params.get("period", "day")
        if period not in PERIODS:
            raise ValueError(f"period: expected one of {', '.join(PERIODS)}, got {period!r}")
        tenant = parts.tenant_of(request)
        rows, tenants, counts, versions = await asyncio.gather(
            parts.call(parts.store.traffic, first_minute(period, now), tenant),
            parts.call(parts.store.tenants),
            parts.call(parts.store.counts),
            parts.call(parts.store.list_policies),
        )
        return views.page(
            "overview.html",
            token=session.token,
            view=overview(rows, parts.config, period, now),
            periods=list(PERIODS),
            period=period,
            tenants=tenants,
            tenant=tenant,
            worker=await self._worker(),
            counts=counts,
            version=versions[-1] if versions else None,
        )

    async def users(self, request: Request, session: access.Session, form: Form) -> Response:
        tenants = await self.parts.call(self.parts.store.tenants)
        return views.page("users.html", token=session.token, tenants=tenants, deleted=None)

    async def delete_user(self, request: Request, session: access.Session, form: Form) -> Response:
        tenants = await self.parts.call(self.parts.store.tenants)
        tenant, user = form.get("tenant", [""])[0], form.get("user", [""])[0]
        named = {str(number): name for number, name in tenants.items()}
        if tenant not in named or not user:
            raise ValueError("expected a tenant of the list and the name of a user; nothing was deleted")
        if "sure" not in form:
            return views.page(
                "confirm.html",
                token=session.token,
                title=f"Delete everything of user {user!r} of tenant {named[tenant]!r}?",
                text="Examples, vectors, interactions, feedback, kept answers and the name go. There is no way back.",
                action="/admin/users/delete",
                fields=[("tenant", tenant), ("user", user)],
                back="/admin/users",
            )
        await self._flush()
        deleted = await self.parts.call(self.parts.store.delete_user, named[tenant], user)
        await self._flush()
        return views.page("users.html", token=session.token, tenants=tenants, deleted=deleted._asdict())

    async def policies(self, request: Request, session: access.Session, form: Form) -> Response:
        versions = await self.parts.call(self.parts.store.list_policies)
        return views.page("policies.html", token=session.token, versions=versions[::-1])

    async def choose_policy(self, request: Request, session: access.Session, form: Form) -> Response:
        name = form.get("name", [""])[0]
        try:
            await self.parts.call(self.parts.store.choose_policy, name)
        except KeyError as error:
            raise ValueError(f"there is no version {name!r} any more; the one in use stays") from error
        return views.moved("/admin/policies")

    async def _worker(self) -> Mapping[str, Any]:
        try:
            return await self._worker_status()
        except Exception as error:  # the page is for the time when something does not work
            return {"worker": f"does not answer: {error or type(error).__name__}"}

    def _key(self) -> str | None:
        key = os.environ.get(self.parts.config.admin_key_env, "")
        return key if len(key) >= access.LEAST_KEY else None

    def _closed(self) -> Response:
        name = self.parts.config.admin_key_env
        text = f"Set the environment variable {name} to at least {access.LEAST_KEY} characters, and start again."
        return views.message(403, "This page is closed", text)


def _login_first(request: Request) -> Response:
    if request.method != "GET":
        return views.message(403, "You are not logged in", "Nothing was done. Log in, and repeat it.")
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return views.moved(f"/admin/login?{urllib.parse.urlencode({'to': path})}")


def _own_path(path: str) -> str:
    """The path if it is one of these pages, else that of the first: no link may lead elsewhere by way of the login."""
    return path if path.startswith(("/admin/", "/?")) and path.isprintable() else "/"
