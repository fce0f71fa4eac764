"""The operators' page: who gets in, what it shows, what it deletes, and what it says when the store is gone."""

import asyncio
import contextlib
import html
import re

import httpx
import numpy as np
import pytest

from jaxalign.io.serve.admin import access
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.store.rows import NewExample, Vectors
from tests.io.serve.admin.conftest import make_site
from tests.io.serve.admin.fake_store import ATTACK, KEY, NOW, minute

PATHS = ["/", "/admin/examples", "/admin/examples/7", "/admin/users", "/admin/policies"]


class Operator:
    """A client that may log in; each call is one request."""

    def __init__(self, site):
        self._site, self.cookie, self.token = site, "", ""

    def ask(self, method, path, **options):
        async def main():
            transport = httpx.ASGITransport(self._site.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                headers = {"cookie": self.cookie} | options.pop("headers", {})
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(main())

    def get(self, path):
        return self.ask("GET", path)

    def post(self, path, **form):
        return self.ask("POST", path, data={"token": self.token} | form)

    def login(self, key=KEY):
        reply = self.ask("POST", "/admin/login", data={"key": key})
        self.cookie = reply.headers.get("set-cookie", "").partition(";")[0]
        found = re.search(r'name="token" value="(\w+)"', self.get("/admin/users").text)
        self.token = found[1] if found else ""
        return reply


@pytest.fixture
def visitor(site):
    return Operator(site)


@pytest.fixture
def operator(site):
    operator = Operator(site)
    assert operator.login().status_code == 303 and operator.token
    return operator


def words(reply):
    """The page as one line of text."""
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", " ", reply.text)))


def facts(reply):
    """The figures of the overview by their names."""
    text = [re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]+>", "", each))).strip() for each in
            re.findall(r"<dt>.*?</dt>|<dd>.*?</dd>", reply.text, re.DOTALL)]  # fmt: skip
    return dict(zip(text[::2], text[1::2], strict=True))


@pytest.mark.parametrize("path", PATHS)
def test_nobody_sees_anything_before_the_login(site, visitor, path):
    reply = visitor.get(path)
    assert reply.status_code == 303 and reply.headers["location"].startswith("/admin/login?to=%2F")
    assert site.store.calls == []


@pytest.mark.parametrize("path", ["/admin/examples/delete", "/admin/users/delete", "/admin/policies/choose"])
def test_nobody_changes_anything_before_the_login(site, visitor, path):
    assert visitor.post(path, id="1", sure="yes", name="p1", tenant="1", user="a").status_code == 403
    assert site.store.calls == []


@pytest.mark.parametrize("key", ["", "short"])
def test_without_a_key_it_is_closed_and_says_what_to_do(visitor, monkeypatch, key):
    monkeypatch.setenv("JAXALIGN_ADMIN_KEY", key)
    for path in [*PATHS, "/admin/login"]:
        reply = visitor.get(path)
        assert reply.status_code == 403
        assert "Set the environment variable JAXALIGN_ADMIN_KEY to at least 16 characters" in words(reply)
    assert visitor.ask("POST", "/admin/login", data={"key": key}).status_code == 403


def test_the_login(site, visitor):
    reply = visitor.login("not the key, surely")
    assert reply.status_code == 403 and "set-cookie" not in reply.headers and "not the admin key" in words(reply)
    reply = visitor.ask("POST", "/admin/login?to=/admin/examples%3Fpage%3D2", data={"key": KEY})
    assert (reply.status_code, reply.headers["location"]) == (303, "/admin/examples?page=2")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and KEY not in cookie


@pytest.mark.parametrize("to", ["https://example.org", "//example.org", "/\\example.org", "/admin/a\r\nb: c", ""])
def test_the_login_leads_nowhere_else(visitor, to):
    reply = visitor.ask("POST", "/admin/login", params={"to": to}, data={"key": KEY})
    assert reply.headers["location"] == "/"


def test_cookies_expire_and_cannot_be_made(site, visitor, operator, monkeypatch):
    cookie = operator.cookie.partition("=")[2]
    later, token = str(NOW + 10**6), cookie.rpartition(".")[2]
    nonce = cookie.split(".")[1]
    for wrong in ("", "a.b.c", f"{later}.{nonce}.{token}", cookie[:-1], cookie + "0", "\u00e9"):
        assert access.read_session(wrong, KEY, float(NOW)) is None
    assert access.read_session(cookie, KEY, float(NOW) + access.SESSION_SECONDS - 1) is not None
    assert access.read_session(cookie, KEY, float(NOW) + access.SESSION_SECONDS) is None
    assert access.read_session(cookie, "another admin key, long", float(NOW)) is None
    monkeypatch.setenv("JAXALIGN_ADMIN_KEY", "another admin key, long")
    assert operator.get("/").status_code == 303  # whoever changes the key ends all sessions


def test_logging_out(operator):
    reply = operator.post("/admin/logout")
    assert reply.status_code == 303 and "Max-Age=0" in reply.headers["set-cookie"]


@pytest.mark.parametrize("path", [*PATHS, "/admin/login", "/admin/style.css"])
def test_every_page_keeps_other_sites_and_scripts_out(operator, path):
    headers = operator.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; ")
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert ("no-store" in headers["cache-control"]) != path.endswith(".css")


@pytest.mark.parametrize("path", PATHS)
def test_texts_are_escaped(operator, path):
    reply = operator.get(path)
    assert reply.status_code == 200 and "<script" not in reply.text and "<img" not in reply.text
    assert ATTACK in html.unescape(reply.text)


def test_forms_of_other_sites_are_refused(site, operator):
    site.store.calls.clear()
    right = {"token": operator.token, "id": "1", "sure": "yes"}
    for form, headers in (
        (right | {"token": "0" * 64}, {}),
        ({"id": "1", "sure": "yes"}, {}),
        (right, {"sec-fetch-site": "cross-site"}),
        (right, {"sec-fetch-site": "same-site"}),
    ):
        reply = operator.ask("POST", "/admin/examples/delete", data=form, headers=headers)
        assert reply.status_code == 403 and "Nothing was done" in words(reply)
    big = operator.ask("POST", "/admin/examples/delete", content=b"a=" + b"x" * access.MOST_FORM_BYTES)
    assert big.status_code == 403 and "more than 1048576 bytes" in words(big)
    assert operator.ask("POST", "/admin/examples/delete", content=b"\xff").status_code == 403
    assert site.store.calls == [] and 1 in site.store.rows
    again = operator.ask("POST", "/admin/examples/delete", data=right, headers={"sec-fetch-site": "same-origin"})
    assert again.status_code == 303 and 1 not in site.store.rows


def test_the_overview(site, operator):
    """20 requests of the last hour, 2 of them failed: of 18 answers the dearest model wrote 6, so 2/3 are offload.
    The large model's prices are 2 and 8 for a million tokens: 9,000 x 2 + 2,000 x 8 = 34,000, .034 less .02."""
    site.store.minutes = [
        minute(3, "large", requests=8, errors=2, prompt_tokens=3000, answer_tokens=1000, cost=0.015, seconds=16.0),
        minute(59, "small", tenant=2, requests=10, with_examples=5, prompt_tokens=6000, answer_tokens=1000,
               cost=0.005, seconds=5.0),
        minute(4, "small", requests=2, cached=2),
        minute(4, "", rated=4, rating=3.0),
        minute(60, "large", requests=100),
    ]  # fmt: skip
    reply = operator.get("/?period=hour")
    found = facts(reply)
    expected = {
        "Requests": "20",
        "Failed": "10.0 %",
        "Offload": "66.7 %",
        "Mean rating": "0.750 of 4",
        "Cost": "0.0200",
    }
    expected |= {"Saved": "0.0140", "Mean latency": "1.05 s", "With examples": "25.0 %"}
    expected |= {"policy": "p2", "dropped": '{"late": 3}', "examples": "30", "interactions": "1,234"}
    assert expected.items() <= found.items() and found["latest policy"] == "p2, 10 min ago"
    assert "small 12 60.0 % 0 2 5 6,000 1,000 0.417 s 0.00500" in words(reply)
    assert facts(operator.get("/?period=hour&tenant=2"))["Requests"] == "10"
    assert facts(operator.get("/?period=week"))["Requests"] == "120"
    assert len(re.findall("<svg", reply.text)) == 4 and "Requests: 20 in all" in reply.text
    assert operator.get("/?period=year").status_code == operator.get("/?tenant=x").status_code == 400


def test_the_overview_before_any_request(site, operator):
    site.store.versions, site.status = {}, ConnectionError("no worker at the socket")
    reply = operator.get("/")
    assert reply.status_code == 200 and "No requests yet" in words(reply)
    assert facts(reply)["Offload"] == facts(reply)["Saved"] == "–"
    assert facts(reply)["worker"] == "does not answer: no worker at the socket"
    assert facts(reply)["latest policy"] == "none yet"


def test_examples_are_searched_and_paged(site, operator):
    reply = operator.get("/admin/examples")
    assert site.store.calls[-2:].count(("find_examples", None, "", "gain", 26, 0)) == 1
    assert len(re.findall('name="id"', reply.text)) == 25 and "1 to 25" in words(reply)
    after = html.unescape(re.search(r'rel="next" href="([^"]+)"', reply.text)[1])
    reply = operator.get(after)
    assert (
        len(re.findall('name="id"', reply.text)) == 5 and "26 to 30" in words(reply) and 'rel="next"' not in reply.text
    )
    operator.get("/admin/examples?contains=seven&tenant=2&order=created")
    assert ("find_examples", 2, "seven", "created", 26, 0) in site.store.calls
    assert "Nothing was found" in words(operator.get("/admin/examples?contains=nowhere"))
    for wrong in ("order=request", "page=-1", "page=x", "page=999999", "tenant=-1", "contains=" + "x" * 513):
        assert operator.get(f"/admin/examples?{wrong}").status_code == 400
    assert (
        operator.get("/admin/examples/99").status_code == operator.get(f"/admin/examples/{10**20}").status_code == 404
    )


def test_long_texts_are_cut_and_whole_on_a_page_of_their_own(site, operator):
    site.store.rows[3] = site.store.rows[3]._replace(response="x" * 5000)
    assert "x" * 2000 + " …" in words(operator.get("/admin/examples?order=created"))
    assert "x" * 5000 in operator.get("/admin/examples/3").text


def test_examples_are_deleted_once_the_operator_is_sure(site, operator):
    back = "/admin/examples?order=gain&page=0"
    reply = operator.post("/admin/examples/delete", id=["3", "5", "99"], back=back)
    assert reply.status_code == 200 and "Delete 2 examples?" in words(reply) and len(site.store.rows) == 30
    reply = operator.post("/admin/examples/delete", id=["3", "5"], back=back, sure="yes")
    assert (reply.status_code, reply.headers["location"]) == (303, back)
    assert not {3, 5} & site.store.rows.keys() and len(site.store.rows) == 28
    reply = operator.post("/admin/examples/delete", one="8", id=["9"], back="//example.org", sure="yes")
    assert reply.headers["location"] == "/admin/examples" and 8 not in site.store.rows and 9 in site.store.rows
    assert operator.post("/admin/examples/delete", sure="yes").status_code == 400
    assert operator.post("/admin/examples/delete", id="1; DROP", sure="yes").status_code == 400


def test_users_are_deleted_once_the_operator_is_sure(site, operator):
    reply = operator.post("/admin/users/delete", tenant="1", user="eve")
    assert "Delete everything of user 'eve' of tenant 'shop'?" in words(reply) and site.flushes == 0
    reply = operator.post("/admin/users/delete", tenant="1", user="eve", sure="yes")
    assert site.store.calls[-1] == ("delete_user", "shop", "eve") and site.flushes == 2
    assert "Deleted: 3 examples, 20 interactions, 5 feedback, 1 answers." in words(reply)
    for wrong in ({"tenant": "9", "user": "eve"}, {"tenant": "1", "user": ""}, {"user": "eve"}):
        assert operator.post("/admin/users/delete", **wrong, sure="yes").status_code == 400


def test_policies_are_taken_back(site, operator):
    assert "held_out 0.500 feedback 10" in words(operator.get("/admin/policies"))
    assert operator.post("/admin/policies/choose", name="p1").status_code == 303 and site.store.current == "p1"
    reply = operator.post("/admin/policies/choose", name="gone")
    assert reply.status_code == 400 and "there is no version 'gone' any more" in words(reply)


@pytest.mark.parametrize("path", PATHS)
def test_a_store_that_is_gone_has_a_page(site, operator, path):
    site.store.gone = True
    reply = operator.get(path)
    assert reply.status_code == 503 and "The store does not answer the store is gone: disk full" in words(reply)
    assert operator.post("/admin/policies/choose", name="p1").status_code == 503


def test_with_a_real_store(site, tmp_path):
    """What the pages ask is what the store answers."""
    with contextlib.closing(open_store("sqlite", str(tmp_path))) as store:
        who = store.identify("shop", "eve", "scope")
        row = NewExample(who.tenant, who.partition, who.user, "asked", "answered", "large", 3, 0.5, 1.0)
        vectors = Vectors(np.ones(4, np.float32), np.ones(4, np.float32))
        (number,) = store.add_examples([row], "hash", [vectors])
        store.add_traffic([minute(1, "large", tenant=who.tenant, requests=2, cost=0.5)])
        store.save_policy("p1", b"data", {"held_out": 0.5})
        operator = Operator(make_site(store))
        operator.login()
        assert facts(operator.get("/"))["Requests"] == "2"
        assert "asked" in words(operator.get("/admin/examples?contains=SWERED&tenant=1"))
        assert "held_out 0.500" in words(operator.get("/admin/policies"))
        assert operator.post("/admin/policies/choose", name="p1").status_code == 303
        assert store.current_policy() == ("p1", b"data")
        assert operator.post("/admin/examples/delete", one=str(number), sure="yes").status_code == 303
        assert store.examples([number]) == []
        deleted = operator.post("/admin/users/delete", tenant=str(who.tenant), user="eve", sure="yes")
        assert "Deleted: 0 examples" in words(deleted)
