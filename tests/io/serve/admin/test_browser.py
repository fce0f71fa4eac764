"""The page in Chromium, as an operator uses it."""

from jaxalign.io.serve.admin import views
from jaxalign.io.serve.upstream import running
from tests.io.serve.admin import browser
from tests.io.serve.admin.fake_store import ATTACK, KEY, minute


def test_an_operator_at_work(site, tmp_path):
    """Logs in, searches, deletes an example, takes a policy back; texts stay texts, and nothing is complained of."""
    site.store.minutes = [minute(5, "large", requests=3, seconds=6.0), minute(9, "small", requests=1, cached=1)]
    with running.in_thread(site.app) as url, browser.opened(tmp_path) as tab:
        tab.open(url.removesuffix("/v1") + "/")
        assert tab.read("location.pathname + location.search") == "/admin/login?to=%2F"
        tab.fill("[name=key]", KEY)
        tab.click("main button")
        assert tab.read("document.querySelector('h1').innerText") == "Overview"
        assert tab.read("document.querySelectorAll('figure svg').length") == 4
        assert tab.read("getComputedStyle(document.querySelector('rect')).fill") == "rgb(0, 114, 178)"

        tab.click("nav a[href='/admin/examples']")
        tab.fill("[name=contains]", "seven")
        tab.click("[role=search] button")
        assert tab.read("document.querySelectorAll('tbody tr').length") == 1
        assert ATTACK in tab.read("document.querySelector('tbody .said').textContent")
        assert tab.read("document.title") == "Examples · jaxalign"  # the script in the example did not run
        tab.click("tbody button[name=one]")
        assert "Delete 1 example?" in tab.read("document.body.innerText") and 7 in site.store.rows
        tab.click("button[name=sure]")
        assert "Nothing was found." in tab.read("document.body.innerText")
        assert 7 not in site.store.rows and len(site.store.rows) == 29

        tab.click("nav a[href='/admin/policies']")
        tab.click("button[value=p1]")
        assert site.store.current == "p1"
        assert tab.read("document.querySelector('tr[aria-current] th').innerText") == "p1"

        tab.click("header button")
        tab.open(url.removesuffix("/v1") + "/admin/policies")
        assert tab.read("document.querySelector('h1').innerText") == "Log in"
        assert tab.told == []


def test_the_browser_would_notice(site, tmp_path, monkeypatch):
    """The same texts, not escaped: the policy stops the script and the picture, and the browser says so."""
    monkeypatch.setattr(views._TEMPLATES, "autoescape", False)
    views._TEMPLATES.cache.clear()
    try:
        with running.in_thread(site.app) as url, browser.opened(tmp_path) as tab:
            tab.open(url.removesuffix("/v1") + "/admin/login?to=/admin/examples/7")
            tab.fill("[name=key]", KEY)
            tab.click("main button")
            assert tab.read("document.title") == "Example 7 · jaxalign"
            assert "inline script" in "".join(tab.told) and "example.org" in "".join(tab.told)
    finally:
        views._TEMPLATES.cache.clear()
