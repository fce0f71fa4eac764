"""Where requests go: base URLs as users give them, redirections, proxies; and a key that goes nowhere else."""

import socket
import threading
import traceback

import pytest

from jaxalign.io import llm
from jaxalign.io.llm.http import check_base_url
from tests.io.llm import chat_server
from tests.io.llm.chat_server import KEY, completion, reply, status
from tests.io.llm.test_llm import requests


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


@pytest.fixture
def cache(tmp_path):
    return llm.Cache(tmp_path / "cache.jsonl")


def ask(url, cache, number=1, **options):
    client = llm.Client(url, "tiny", **{"max_retries": 1, "timeout": 30.0} | options)
    return llm.complete(client, requests(number), cache=cache, concurrency=1, show=False)


@pytest.mark.parametrize(
    "given, kept",
    [
        ("http://h/v1", "http://h/v1"),
        ("http://h/v1/", "http://h/v1"),
        ("http://h/v1//", "http://h/v1"),
        ("http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("https://h/openai/v1/chat/completions/", "https://h/openai/v1"),
        ("http://h/v1/completions", "http://h/v1"),
        ("http://h/v1/models", "http://h/v1"),
        ("http://h", "http://h"),
        ("http://h/", "http://h"),
        (" http://H:80/V1\n", "http://h:80/V1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_base_urls_are_kept_in_one_form(given, kept):
    assert check_base_url(given) == kept == llm.Client(given, "m").base_url == llm.Client(given, "m").known_as


@pytest.mark.parametrize(
    "given",
    ["h:8000/v1", "ftp://h/v1", "http://", "http:///v1", "http://h/a b", "http://h/\x00", "http://h:port/v1", ""],
)
def test_what_is_no_base_url(given):
    with pytest.raises(ValueError, match="expected http://HOST|[Pp]ort"):
        llm.Client(given, "m")


@pytest.mark.parametrize(
    "given", [f"http://me:{KEY}@h/v1", f"http://h/v1?key={KEY}", f"http://h/v1#{KEY}", f"http://{KEY}@h"]
)
@pytest.mark.parametrize("field", ["base_url", "known_as"])
def test_a_url_with_a_secret_is_refused_and_not_shown(given, field):
    with pytest.raises(ValueError, match="an API key goes into the environment") as error:
        llm.Client(**{"base_url": "http://h/v1", "model": "m"} | {field: given})
    assert KEY not in str(error.value)


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions", "/v1/completions"])
def test_the_endpoints_are_found_under_v1(server, cache, path, capsys):
    server.root = "/v1/"
    address = server.url.removesuffix("/v1")
    assert ask(address + path, cache, 3).answers[2].text == "QUESTION 2"
    assert server.paths == ["/v1/chat/completions"] * 3
    told = capsys.readouterr().err
    assert told == ("" if "v1" in path else f"{address} has its endpoints under {address}/v1, which is used\n")


@pytest.mark.parametrize(
    "root, path, asked",
    [
        ("/chat", "", ["/v1/chat/completions", "/chat/completions"]),  # at the root, and not under /v1
        ("/api/v1/", "/api", ["/api/chat/completions", "/api/v1/chat/completions"]),
        ("/api/chat", "/api", ["/api/chat/completions"]),
        ("/v1beta/openai/", "/v1beta/openai", ["/v1beta/openai/chat/completions"]),
    ],
)
def test_endpoints_elsewhere_are_looked_for_once(server, cache, root, path, asked):
    server.root = root
    ask(server.url.removesuffix("/v1") + path, cache, 3)
    assert server.paths == [*asked, asked[-1], asked[-1]]


@pytest.mark.parametrize(
    "missing", [status(404), status(405, '{"detail": "Method Not Allowed"}'), reply("<html></html>")]
)
def test_a_page_and_a_path_that_is_not_there_lead_to_the_next_one(server, cache, missing):
    server.faults = [missing]
    ask(server.url.removesuffix("/v1"), cache)
    assert server.paths == ["/v1/chat/completions", "/chat/completions"]


def test_what_was_asked_is_told(server, cache, pauses):
    server.root = "/elsewhere"
    address = server.url.removesuffix("/v1")
    with pytest.raises(llm.RequestError) as error:
        ask(address, cache)
    for part in (f"{address}/v1/chat/completions: status 404, Not Found", f"{address}/chat/completions: status 404"):
        assert part in str(error.value)
    assert "Expected a base URL such as http://HOST:8000/v1, and the name of a model there, got 'tiny'" in str(
        error.value
    )
    assert not pauses and not cache.path.exists()


@pytest.mark.parametrize("code", [307, 308])
@pytest.mark.parametrize("location", ["/v2/chat/completions", "?again", "{url}/x", "//127.0.0.1:{port}/y"])
def test_redirections_that_keep_a_post_are_followed_on_the_same_host(server, cache, code, location):
    place = location.format(url=server.url, port=server.server_address[1])
    server.chat = completion
    server.faults = [status(code, Location=place), lambda handler, body: handler.answer(200, chat_text(body))]
    assert ask(server.url, cache).answers[0].text == "QUESTION 0"
    assert server.bodies[0] == server.bodies[1] and len(server.paths) == 2
    assert [headers["Authorization"] for headers in server.headers] == [f"Bearer {KEY}"] * 2


def chat_text(body):
    return chat_server.json.dumps(completion(body))


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://localhost:{port}/v1", "http://127.0.0.1:1/v1", "http://me:pw@127.0.0.1:{port}/"]
)
def test_a_key_goes_to_no_other_host(server, cache, pauses, code, location):
    """Another name, another port, another user: each may be somebody else."""
    place = location.format(port=server.server_address[1])
    server.faults = [status(code, '{"detail": "moved"}', Location=f"{place}?key=secret")]
    shown = place.replace("me:pw@", "")
    with pytest.raises(
        llm.RequestError, match=f"status {code}, moved; it points to {shown}, which is not foll"
    ) as error:
        ask(server.url, cache)
    assert "another host" in str(error.value) and "secret" not in str(error.value) and "pw" not in str(error.value)
    assert len(server.bodies) == 1 and not pauses


@pytest.mark.parametrize("code", [301, 302, 303])
def test_a_redirection_that_may_lose_the_body_says_where_it_points(server, cache, pauses, code):
    server.faults = [status(code, "", Location="/v2/chat/completions")]
    target = server.url.replace("/v1", "/v2/chat/completions")
    with pytest.raises(llm.RequestError, match=f"status {code}, .*points to {target}, .*POST would become a GET"):
        ask(server.url, cache)
    assert len(server.bodies) == 1 and not pauses


@pytest.mark.parametrize(
    "headers, told",
    [({}, "does not say where to"), ({"Location": " "}, "does not say where"), ({"Location": "http://["}, "to no URL")],
)
def test_redirections_to_nowhere(server, cache, pauses, headers, told):
    server.faults = [status(308, **headers)]
    with pytest.raises(llm.RequestError, match=f"status 308, a redirection .*{told}"):
        ask(server.url, cache)
    assert not pauses


def test_redirections_in_a_circle_end(server, cache, pauses):
    server.faults = [status(307, Location="/v1/chat/completions")] * 99
    with pytest.raises(llm.RequestError, match="more than 5 redirections, the last to http://127"):
        ask(server.url, cache)
    assert len(server.bodies) == 6 and not pauses


@pytest.fixture
def dead():
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://me:" + KEY + "@127.0.0.1:{}/"])
def test_a_dead_proxy_is_named(server, cache, pauses, monkeypatch, dead, variable, form):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(variable, form.format(dead))
    with pytest.raises(llm.RequestError) as error:
        ask(server.url, cache)
    said = str(error.value)
    assert "refused" in said and f"through the proxy http://127.0.0.1:{dead}" in said
    assert f"of {variable.upper()}; NO_PROXY=127.0.0.1 goes around it" in said and KEY not in said
    assert not server.bodies
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    assert ask(server.url, cache).answers[0].text == "QUESTION 0"


def test_a_proxy_is_used_for_servers_with_and_without_tls(server, cache, pauses, monkeypatch):
    """The server of the test is the proxy: it is sent the whole URL, or asked for a tunnel, which it refuses."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    port = server.server_address[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://me:pass%40word@127.0.0.1:{port}")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    server.root = "http://far.invalid/v1/"
    assert ask("http://far.invalid/v1", cache).answers[0].text == "QUESTION 0"
    assert server.paths == ["http://far.invalid/v1/chat/completions"]
    assert server.headers[0]["Proxy-Authorization"] == "Basic bWU6cGFzc0B3b3Jk"  # me:pass@word
    with pytest.raises(llm.RequestError, match="Tunnel connection failed: 501 .*of HTTPS_PROXY; NO_PROXY=far.invalid"):
        ask("https://far.invalid/v1", cache)
    server.faults = [status(407, "sign in")]
    with pytest.raises(llm.RequestError, match="status 407, 'sign in' .through the proxy http://127.0.0.1"):
        ask("http://far.invalid/v1", cache, 2)


def test_a_tunnel_to_a_server_with_tls(cache, pauses, monkeypatch):
    """The proxy is asked for the server's name and port, with its own password and without the key of the server."""
    seen = []

    class Proxy(chat_server.Handler):
        def do_CONNECT(self):
            seen.append((self.path, self.headers["Proxy-Authorization"], self.headers["Authorization"]))
            self.answer(200, "")
            self.close_connection = True

    monkeypatch.delenv("NO_PROXY", raising=False)
    with chat_server.serving() as proxy:
        proxy.RequestHandlerClass = Proxy
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@127.0.0.1:{proxy.server_address[1]}")
        with pytest.raises(llm.RequestError, match="in 2 attempts; .*SSL.*of HTTPS_PROXY; NO_PROXY=far.invalid"):
            ask("https://far.invalid/v1", cache)
    assert seen == [("far.invalid:443", "Basic bWU6cHc=", None)] * 2


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "https://127.0.0.1:9", "http://127.0.0.1:none", "http://"])
def test_proxies_of_another_kind_are_refused(server, cache, pauses, monkeypatch, proxy):
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(
        llm.RequestError, match="HTTP_PROXY names the proxy .*only http://HOST:PORT can be used; NO_PROXY="
    ):
        ask(server.url, cache)
    assert not pauses


def test_a_server_of_ipv6(cache, monkeypatch):
    class Server6(chat_server.ChatServer):
        address_family = socket.AF_INET6

        def server_bind(self):
            self.server_address = ("::1", 0)
            super().server_bind()

    monkeypatch.setenv("NO_PROXY", "::1")
    with Server6() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        answers = ask(f"http://[::1]:{server.server_address[1]}/v1", cache).answers
        server.shutdown()
        thread.join()
    assert answers[0].text == "QUESTION 0"


def test_a_certificate_that_nobody_trusts_is_not_tried_again(server, cache, pauses):
    """A server without TLS is a broken connection, which may pass."""
    with pytest.raises(llm.RequestError, match="in 2 attempts; the last: URLError: .*SSL"):
        ask(server.url.replace("http://", "https://"), cache)
    assert len(pauses) == 1


@pytest.mark.parametrize("secret", ['sk-with"quote\\1234', "sk-with/slash+1234=", KEY])
@pytest.mark.parametrize("quoted", [lambda key: key, lambda key: chat_server.json.dumps(key)[1:-1]])
def test_a_key_is_hidden_in_every_form(server, cache, pauses, monkeypatch, secret, quoted):
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    told = f'{{"error": {{"message": "bad key {quoted(secret)}", "url": "/?key={secret.replace("/", "%2F")}"}}'
    server.faults = [status(500, told), status(401, told)]
    with pytest.raises(llm.RequestError) as error:
        ask(server.url, cache)
    assert "[OPENAI_API_KEY]" in str(error.value)
    assert "1234" not in "".join(traceback.format_exception(error.value)).replace("0123456789", "?")


@pytest.mark.parametrize("code", [401, 403])
def test_a_key_that_is_not_set_is_named(server, cache, monkeypatch, code):
    server.faults = [status(code, "who are you?")] * 2
    with pytest.raises(
        llm.RequestError, match=f"status {code}, 'who are you.' .the environment variable NONE holds no"
    ):
        ask(server.url, cache, key_variable="NONE")
    with pytest.raises(llm.RequestError) as error:
        ask(server.url, cache)
    assert "environment variable" not in str(error.value)


def test_the_name_of_the_limit(server, cache):
    asked = [llm.Request("a", max_tokens=7), llm.Request("b")]
    client = llm.Client(server.url, "tiny", token_limit="max_completion_tokens")
    llm.complete(client, asked, cache=cache, concurrency=1, show=False)
    assert [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in server.bodies] == [
        (None, 7),
        (None, None),
    ]
    assert not llm.missing("tiny", asked, cache=cache)
    server.faults = [status(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")]
    with pytest.raises(llm.RequestError, match="status 400, .* .the client's token_limit names this field"):
        ask(server.url, cache)
