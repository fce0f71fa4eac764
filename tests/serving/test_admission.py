"""What may become an example: planted personal data and secrets, and real texts without any."""

import builtins
import os
import socket
import sys

import pytest
from pyarrow import parquet

from jaxalign import serving
from jaxalign.serving import Admission, admission

# Written in pieces, so that no scanner of this repository takes them for real ones.
KEY = "a1B2c3D4e5" * 5
FOUND = {
    "write to ann.brown@mail.test please": "personal data: EMAIL",
    "my number is (415) 555-2671, call me": "personal data: PHONE",
    "call +1 415-555-2671 tomorrow": "personal data: PHONE",
    "my SSN is 536-90-4399, is that valid?": "personal data: SSN",
    "card 4111 1111 1111 1111 was refused": "personal data: CREDIT_CARD",
    "the server 203.0.113.77 is down": "personal data: IP_ADDRESS",
    "use AKIA" + "QYLPMN5HHHFPZAM2 to sign": "secret: AWS Access Key",
    "token ghp_" + KEY[:36] + " expired": "secret: GitHub Token",
    "token github_pat_" + KEY[:30] + " expired": "secret: GitHub Token",
    "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEpAIB": "secret: Private Key",
    "postgres://joe:pa55" + "word@db/bees fails": "secret: Basic Auth Credentials",
    "xoxb-" + "123456789012-1234567890123-" + KEY[:24]: "secret: Slack Token",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjMifQ.abcDEF123_-abc": "secret: JSON Web Token",
    "sk_live_" + KEY[:24] + " is our key": "secret: Stripe Access Key",
    "DB_PASS=" + "abc123xyz in the file": "secret: Secret Keyword",
    "is sk-proj-" + KEY[:30] + " still valid?": "secret: API Key",
    'api_key = "' + KEY[:16] + '"': "secret: Secret Keyword",
    "password: hunter2 " + "\nwhat now?": "secret: Secret Keyword",
    "For example password = 'hunter22', why?": "secret: Secret Keyword",
}
HARMLESS = [
    "hello world, how are you?",
    "how do i reset my password: by mail or by phone?",
    "the secret: patience and practice",
    "what is a private key and who keeps it?",
    "She pays $57,500 in 12 months, 690000 in all.",
    "57500 / 3 = 19166.67 on 12/05/2024",
    "pi is 3.14159265358979",
    "def f(x):\n    token = next(it)\n    return x['name']",
    "open http://127.0.0.1:8000/docs in the browser",
    "The ISBN and the ZIP code 90210 are in the form.",
    "Use at least 12 characters as your password.",
    'He said "correcthorsebatterystaple" twice.',
]


@pytest.mark.parametrize("text", FOUND)
def test_personal_data_and_secrets_are_found_on_both_sides(text):
    assert serving.admit(text, "It is so.", finish_reason="stop").reasons == (FOUND[text],)
    assert serving.admit("What is it?", text, finish_reason="stop").reasons == (FOUND[text],)
    both = serving.admit(text, text, finish_reason="stop")
    assert both.reasons == (FOUND[text],) and not both.admitted


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_are_admitted(text):
    admitted = serving.admit(text, text, finish_reason="stop")
    assert admitted.admitted and admitted.reasons == ()


@pytest.mark.parametrize(
    ("request_text", "response", "finish_reason", "reasons"),
    [
        ("How do bees fly?", "They beat", None, ("incomplete",)),
        ("How do bees fly?", "They beat", "length", ("incomplete",)),
        ("How do bees fly?", "", "tool_calls", ("incomplete", "empty response")),
        ("How do bees fly?", "They", "content_filter", ("incomplete",)),
        ("How do bees fly?", " \n", "stop", ("empty response",)),
        ("  go on ", "They beat", "stop", ("short request",)),
        ("How do bees fly?", "18", "stop", ()),
    ],
)
def test_only_complete_answers_of_some_length(request_text, response, finish_reason, reasons):
    assert serving.admit(request_text, response, finish_reason=finish_reason).reasons == reasons


def test_long_texts_are_searched_everywhere():
    """In windows, whose borders neither hide a number nor make one of the digits of a longer one."""
    card, number = "4111 1111 1111 1111", "31415926535897932384"
    for before in range(900, 1050, 7):
        text = "bees " * (before // 5) + "." * (before % 5) + " {} " + "fly home " * 200
        assert serving.admit(text.format(card), "yes", finish_reason="stop").reasons == ("personal data: CREDIT_CARD",)
        assert serving.admit(text.format(number), "yes", finish_reason="stop").admitted
    unbroken = "x=1," * 700 + "ann@mail.test" + ",y=2" * 700
    assert serving.admit(unbroken, "yes", finish_reason="stop").reasons == ("personal data: EMAIL",)
    windows = list(admission._windows("bees fly " * 1000))
    assert max(map(len, windows)) <= 1024 and len(windows) == 14  # 640 characters further each


def test_lengths_and_kinds_can_be_set():
    text = "call me at (415) 555-2671"
    assert serving.admit(text, "yes", finish_reason="stop", personal_data=()).admitted
    assert serving.admit(text, "yes", finish_reason="stop", personal_data=["EMAIL"]).admitted
    assert serving.admit("hi", "yes", finish_reason="stop", least_request=2, least_response=4).reasons == (
        "short response",
    )
    assert serving.admit("hi", "", finish_reason="stop", least_request=0, least_response=0).reasons == (
        "empty response",
    )


def test_refusals_are_counted():
    report = serving.report_admissions([Admission(("a", "b")), Admission(()), Admission(("b",))])
    assert report == (3, 1, {"b": 2, "a": 1}) and list(report.refusals) == ["b", "a"]


def test_real_texts_are_admitted(shared_data):
    """Requests without personal data: of 200 none is refused; of 200 solved sums at most 2 are."""
    intents = parquet.read_table(shared_data / "clinc150" / "test.parquet")["text"].to_pylist()[:5000:25]
    sums = parquet.read_table(shared_data / "routellm" / "gsm8k.parquet").slice(0, 200)
    report = serving.report_admissions(serving.admit(text, "label", finish_reason="stop") for text in intents)
    assert report.refusals.keys() <= {"short request"} and report.admitted > 195
    pairs = zip(*(sums[name].to_pylist() for name in ("prompt", "gpt4_response")), strict=True)
    report = serving.report_admissions(serving.admit(*pair, finish_reason="stop") for pair in pairs)
    assert report.total == 200 and report.admitted >= 198


def test_no_file_no_network_no_process(monkeypatch):
    """Even where the user has asked datafog for telemetry, which other functions of it take part in."""
    serving.admit("How do bees fly?", "They beat.", finish_reason="stop")  # imports
    monkeypatch.setenv("DATAFOG_TELEMETRY", "1")

    def refuse(*arguments, **options):
        raise AssertionError("an effect")

    for owner, name in ((socket, "socket"), (os, "system"), (os, "posix_spawn"), (builtins, "open")):
        monkeypatch.setattr(owner, name, refuse)
    import datafog.telemetry

    monkeypatch.setattr(datafog.telemetry, "_send_event", refuse)
    for text in FOUND:
        assert not serving.admit(text, text, finish_reason="stop").admitted


@pytest.mark.parametrize("library", ["datafog", "detect_secrets"])
def test_a_missing_library_is_named_with_the_remedy(monkeypatch, library):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    for cached in (admission._scan, admission._detectors):
        monkeypatch.setattr(admission, cached.__name__, cached.__wrapped__)
    with pytest.raises(ImportError, match=r"pip install 'jaxalign\[serving\]'"):
        serving.admit("How do bees fly?", "They beat.", finish_reason="stop")
