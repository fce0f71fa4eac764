"""Files of documents: the same bytes after any kill, nothing asked twice, and failed rows asked again in place."""

import collections
import json

import pytest

from jaxalign.attributes import (
    Failure,
    make_requests,
    plain_assignments,
    render_document,
    render_simple_document,
    report_documents,
    sample_assignments,
    write_documents,
)
from jaxalign.io import jobs, llm
from jaxalign.io.llm.service import Ledger
from tests.attributes.fakes import Writer
from tests.attributes.tiny import TASK
from tests.full_disk import limited


def distinct(seed=0):
    """30 requests, no two of which have the same prompt."""
    return tuple(each for each in make_requests(TASK, sample_assignments(TASK, 40, seed=seed)) if not each.draw)[:30]


REQUESTS = distinct()
EQUAL = make_requests(TASK, plain_assignments(TASK, 10), render_simple_document)
SETTINGS = {"model": "m"}


def usual():
    return Writer(refuses=0.15, chats=0.2, fails=0.15)


def write(path, generate, requests=REQUESTS, call=jobs.write_document_file, **options):
    options = {"settings": SETTINGS, "chunk": 7, "show": False} | options
    return call(path, generate, requests, **options)


def retry(path, generate, requests=REQUESTS, **options):
    return write(path, generate, requests, jobs.retry_failed, **options)


@pytest.fixture
def whole(tmp_path) -> bytes:
    write(tmp_path / "whole.jsonl", usual())
    return (tmp_path / "whole.jsonl").read_bytes()


def rows(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


class Sampler:
    """A model whose texts depend on the seed of the call and the number of the sample, not on their sum."""

    def __init__(self):
        self.calls = []

    def __call__(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        self.calls += [(prompt, seed, sample) for prompt in prompts for sample in range(n)]
        return [[f"A text, {seed} {sample} {len(prompt)}" for sample in range(n)] for prompt in prompts]


class Broken:
    """A model that fails for some prompts, with a reason."""

    def __init__(self, *broken):
        self.broken = set(broken)

    def __call__(self, prompts, *, n=1, temperature=1.0, max_tokens=256, seed=None, stop=()):
        return [[Failure("no key") if p in self.broken else f"Text {seed + k}" for k in range(n)] for p in prompts]


def test_a_row_a_request_in_order(tmp_path):
    report = write(tmp_path / "new" / "out.jsonl", usual())
    stored = rows(tmp_path / "new" / "out.jsonl")
    expected = list(write_documents(usual(), REQUESTS))
    for row, document, request in zip(stored, expected, REQUESTS, strict=True):
        assert list(row) == "label number labels values prompt_hash draw attempt text reason preamble".split()
        assert (row["label"], row["number"]) == (request.assignment.label, request.assignment.number)
        assert row["values"] == dict(request.assignment.values)
        assert row["text"] == document.text and row["reason"] == document.reason
    failed = [number for number, row in enumerate(stored, 1) if row["text"] is None]
    assert 2 < len(failed) < 20
    assert report[:4] == (30, 0, 30, len(failed))
    assert report.problems[0] == f"line {failed[0]}: {stored[failed[0] - 1]['reason']}"
    read = jobs.read_documents(tmp_path / "new" / "out.jsonl")
    assert [row.document for row in read] == expected
    assert sum(report_documents(row.document for row in read).written.values()) == 30 - len(failed)


def test_every_prompt_rendered_again_has_the_stored_hash(tmp_path, whole):
    assert jobs.check_prompts(tmp_path / "whole.jsonl", TASK, render_document) == 30
    lines = whole.splitlines(keepends=True)
    style = dict(REQUESTS[4].assignment.values)["style"]
    other = next(each for each in TASK.attribute("style").values if each != style)
    lines[4] = lines[4].replace(json.dumps(style).encode(), json.dumps(other).encode())
    (tmp_path / "whole.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"whole\.jsonl, line 5: expected a prompt of the hash"):
        jobs.check_prompts(tmp_path / "whole.jsonl", TASK, render_document)
    lines[4] = lines[4].replace(b'"style"', b'"mood"')
    (tmp_path / "whole.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"line 5: its values fit another task: .*'mood'"):
        jobs.check_prompts(tmp_path / "whole.jsonl", TASK, render_document)


def test_what_was_cut_off_anywhere_is_completed(tmp_path, whole):
    """At the end of every line, one byte before and behind it, in its middle, and in the middle of a character."""
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    places = {0, 1, *ends, *(end - 1 for end in ends), *(end - 150 for end in ends), *(end + 1 for end in ends[:-1])}
    assert len(places) > 90
    for place in sorted(places):
        (tmp_path / "whole.jsonl").write_bytes(whole[:place])
        writer, found = usual(), whole[:place].count(b"\n")
        report = write(tmp_path / "whole.jsonl", writer)
        assert (tmp_path / "whole.jsonl").read_bytes() == whole
        assert (report.found, report.written) == (found, 30 - found)
        asked = collections.Counter(writer.prompts)
        assert asked == collections.Counter(request.prompt for request in REQUESTS[found:])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 0.95, 1.0])
def test_equal_prompts_get_the_texts_that_an_unbroken_run_gives_them(tmp_path, share):
    """A sample's text may depend on its number in the call: calls are the same after a break, for a pool of answers."""
    path, first, second = tmp_path / "out.jsonl", Sampler(), Sampler()
    write(path, first, EQUAL)
    whole = path.read_bytes()
    assert len({row["text"] for row in rows(path)}) == 30
    path.write_bytes(whole[: int(share * len(whole))])
    write(path, second, EQUAL)
    assert path.read_bytes() == whole
    assert set(second.calls) <= set(first.calls) and len(second.calls) == len(set(second.calls))


@pytest.mark.parametrize("requests", [REQUESTS, EQUAL])
def test_a_pool_of_answers_pays_nothing_twice(tmp_path, requests):
    """Neither after a break, nor when a retry is done again that was killed before the file was replaced."""
    path, writer = tmp_path / "out.jsonl", Writer(refuses=0.3, chats=0.2)
    recorder = llm.record.Recorder("m", llm.Cache(tmp_path / "pool.jsonl"), len, Ledger(), chunk=5, show=False)
    pooled = llm.record.recorded_generate(recorder, writer)
    write(path, pooled, requests)
    whole, paid = path.read_bytes(), len(writer.prompts)
    for lines in range(0, 31, 4):
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:lines]) + b'{"cut')
        write(path, pooled, requests)
        assert path.read_bytes() == whole and len(writer.prompts) == paid
    retry(path, pooled, requests)
    retried, paid = path.read_bytes(), len(writer.prompts)
    path.write_bytes(whole)
    retry(path, pooled, requests)
    assert path.read_bytes() == retried != whole and len(writer.prompts) == paid


def test_a_writer_that_dies_leaves_the_chunks_before(tmp_path, whole):
    writer = usual()

    def dies(prompts, **options):
        if len(writer.calls) == 3:
            raise KeyboardInterrupt
        return writer(prompts, **options)

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out.jsonl", dies)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(whole.splitlines(keepends=True)[:21])
    assert write(tmp_path / "out.jsonl", writer).found == 21
    assert (tmp_path / "out.jsonl").read_bytes() == whole
    assert collections.Counter(writer.prompts) == collections.Counter(request.prompt for request in REQUESTS)


def test_a_complete_file_asks_nothing(tmp_path, whole):
    report = write(tmp_path / "whole.jsonl", lambda *_, **__: pytest.fail("asked"))
    assert report[:3] == (30, 30, 0) and (tmp_path / "whole.jsonl").read_bytes() == whole


def test_one_failed_request_shifts_nothing(tmp_path):
    write(tmp_path / "good.jsonl", Broken())
    report = write(tmp_path / "out.jsonl", Broken(REQUESTS[11].prompt))
    good, stored = rows(tmp_path / "good.jsonl"), rows(tmp_path / "out.jsonl")
    assert stored[11] == good[11] | {"text": None, "reason": "no key"}
    assert stored[:11] + stored[12:] == good[:11] + good[12:]
    assert report.problems == ("line 12: no key",)


def test_failed_rows_are_asked_again_in_place(tmp_path, whole):
    path = tmp_path / "whole.jsonl"
    failed = [place for place, row in enumerate(rows(path)) if row["text"] is None]
    writer = usual()
    report = retry(path, writer)
    assert sorted(writer.prompts) == sorted(REQUESTS[place].prompt for place in failed)
    assert {call["seed"] for call in writer.calls} == {jobs.ATTEMPT_SEEDS}
    old, new = whole.splitlines(), path.read_bytes().splitlines()
    assert [place for place in range(30) if old[place] != new[place]] == failed
    for place in failed:
        before, now = json.loads(old[place]), json.loads(new[place])
        assert now["attempt"] == 1 and now["earlier"] == [{"reason": before["reason"]}]
        assert now["prompt_hash"] == before["prompt_hash"] and now["values"] == before["values"]
    still = [row for row in rows(path) if row["text"] is None]
    assert report[:4] == (30, 30 - len(failed), len(failed), len(still)) and len(still) < len(failed)
    assert jobs.check_prompts(path, TASK, render_document) == 30
    assert write(path, usual()).written == 0  # the file is still that of its run
    good = Writer()
    assert retry(path, good, usage_fn=lambda prompt, seed: {"tokens": 3}).failed == 0
    assert {call["seed"] for call in good.calls} == ({2 * jobs.ATTEMPT_SEEDS} if still else set())
    assert [len(row.earlier) for row in jobs.read_documents(path) if row.attempt == 2] == [2] * len(still)
    done = path.read_bytes()
    assert retry(path, lambda *_, **__: pytest.fail("asked")).written == 0 and path.read_bytes() == done


def test_a_kill_while_asking_again_leaves_the_file(tmp_path, whole):
    def dies(prompts, **options):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retry(tmp_path / "whole.jsonl", dies)
    assert (tmp_path / "whole.jsonl").read_bytes() == whole


def test_all_failed(tmp_path):
    """The rows stay, so that each attempt has seeds of its own, and nothing passes for done."""
    broken, path = Broken(*(request.prompt for request in REQUESTS)), tmp_path / "out.jsonl"
    for _ in range(2):  # nor does the same command, which finds all lines
        with pytest.raises(RuntimeError, match=r"none of the 30 requests of .*out\.jsonl gave a document; .*no key"):
            write(path, broken)
    with pytest.raises(RuntimeError, match="none of the 30 rows of .* got a document; the first: no key"):
        retry(path, broken)
    assert {row["attempt"] for row in rows(path)} == {1}
    assert retry(path, Broken()).failed == 0
    assert rows(path)[0]["text"] == f"Text {2 * jobs.ATTEMPT_SEEDS}"


def test_what_is_known_of_tokens_and_cost(tmp_path):
    """An unknown price is neither 0 nor there."""
    path, costs = tmp_path / "out.jsonl", {0: 0.5, 1: None, 2: float("nan"), 3: 0}
    places = {(request.prompt, request.draw): place for place, request in enumerate(REQUESTS)}
    prompts = [request.prompt for request in REQUESTS[:5]]

    def usage(prompt, seed):
        place = places[prompt, seed % jobs.ATTEMPT_SEEDS]
        return {"tokens": place + 10, "cost": costs.get(place)}

    write(path, Broken(prompts[0], prompts[4]), usage_fn=usage)
    stored = jobs.read_documents(path)
    assert [row.usage for row in stored[:4]] == [{"tokens": 10, "cost": 0.5}, {"tokens": 11}, {"tokens": 12}] + [
        {"tokens": 13, "cost": 0}
    ]
    retry(path, Broken(), usage_fn=usage)
    again = jobs.read_documents(path)[0]  # what the failed attempt took is not lost
    assert again.usage == {"tokens": 10, "cost": 0.5}
    assert again.earlier == ({"reason": "no key", "tokens": 10, "cost": 0.5},)
    with pytest.raises(ValueError, match="usage_fn gives 'text', which is a field"):
        write(tmp_path / "other.jsonl", Broken(), usage_fn=lambda prompt, seed: {"text": 1})


@pytest.mark.parametrize("call", [jobs.write_document_file, jobs.retry_failed])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"requests": distinct(seed=1)}, "requests.prompts was"),
        ({"requests": REQUESTS[:-1]}, "requests.count was 30 and is 29"),
        ({"requests": tuple(reversed(REQUESTS))}, "requests.prompts was"),
        ({"settings": {"model": "n"}}, "settings.model was 'm' and is 'n'"),
        ({"seed": 1}, "seed was 0 and is 1"),
        ({"temperature": 0.5}, "temperature was 1.0 and is 0.5"),
        ({"max_tokens": 9}, "max_tokens was 256 and is 9"),
        ({"chunk": 8}, "chunk was 7 and is 8"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, whole, call, change, message):
    with pytest.raises(ValueError, match=f"begun with other settings: .*{message}"):
        write(tmp_path / "whole.jsonl", usual(), call=call, **change)
    assert (tmp_path / "whole.jsonl").read_bytes() == whole


def test_another_format_or_none_is_refused(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("jaxalign.io.jobs.documents.FORMAT", 99)
    with pytest.raises(ValueError, match="format was 1 and is 99"):
        write(tmp_path / "whole.jsonl", usual())
    (tmp_path / "whole.jsonl.settings.json").unlink()
    with pytest.raises(ValueError, match=r"whole\.jsonl\.settings\.json is missing"):
        write(tmp_path / "whole.jsonl", usual())


def test_moved_and_damaged_lines_are_named(tmp_path, whole):
    lines, path = whole.splitlines(keepends=True), tmp_path / "whole.jsonl"
    path.write_bytes(b"".join([lines[0], lines[2], lines[1]]))
    with pytest.raises(ValueError, match=r"whole\.jsonl, line 2: label is .*but the request has"):
        write(path, usual())
    path.write_bytes(lines[0] + b'{"label": "sport"}\n')
    with pytest.raises(ValueError, match=r"whole\.jsonl, line 2: not a document"):
        write(path, usual())
    path.write_bytes(whole + lines[-1])
    with pytest.raises(ValueError, match="has 31 rows for 30 requests"):
        write(path, usual())


def test_what_cannot_be_asked_again(tmp_path, whole):
    with pytest.raises(FileNotFoundError, match=r"none\.jsonl is missing"):
        retry(tmp_path / "none.jsonl", usual())
    (tmp_path / "whole.jsonl").write_bytes(whole[:-3])
    with pytest.raises(ValueError, match="has 29 rows for 30 requests; write it to its end"):
        retry(tmp_path / "whole.jsonl", usual())
    with pytest.raises(ValueError, match="expected at least one request"):
        write(tmp_path / "none.jsonl", usual(), ())


def test_a_full_disk_leaves_what_was_written(tmp_path, whole):
    lines, path = whole.splitlines(keepends=True), tmp_path / "out.jsonl"
    full = len(b"".join(lines[:9])) + 50
    with limited(full), pytest.raises(OSError, match=r"could not write document 10 to .*out\.jsonl: .*continues there"):
        write(path, usual())
    assert path.read_bytes() == b"".join(lines[:9])
    assert write(path, usual()).found == 9
    assert path.read_bytes() == whole
    with limited(full), pytest.raises(OSError, match=r"could not write .*out\.jsonl: .*Free space"):
        retry(path, usual())
    assert path.read_bytes() == whole and len(list(tmp_path.iterdir())) == 4  # two files and their settings


def test_any_text_is_one_line(tmp_path):
    """Other scripts stay readable; a half character, which JSON of a server may hold, is kept too."""
    texts = ["Ça va, 世界?", "two\nlines\u2028and\r\nmore", "cut \ud83d"]

    def generate(prompts, *, seed, **_):
        return [[texts[prompts_seen.index(prompt)]] for prompt in prompts]

    prompts_seen = [request.prompt for request in REQUESTS[:3]]
    write(tmp_path / "out.jsonl", generate, REQUESTS[:3])
    data = (tmp_path / "out.jsonl").read_bytes()
    assert data.count(b"\n") == 3 and "世界".encode() in data
    assert [row.document.text for row in jobs.read_documents(tmp_path / "out.jsonl")] == texts
