"""One document a request: no row is shifted, equal prompts get texts of their own, and hashes come out again."""

import functools
import itertools

import pytest

from jaxalign.attributes import (
    Failure,
    make_requests,
    plain_assignments,
    prompt_hash,
    render_document,
    render_instructed_document,
    render_simple_document,
    report_documents,
    sample_assignments,
    write_documents,
    write_instructions,
)
from tests.attributes.fakes import Writer
from tests.attributes.tiny import TASK

REQUESTS = make_requests(TASK, sample_assignments(TASK, 40))


def asked_values(row):
    return "; ".join(value for name, value in row.assignment.values if name != "length")


def test_a_failed_or_refused_request_shifts_no_row():
    writer = Writer(refuses=0.1, chats=0.2, fails=0.1)
    rows = list(write_documents(writer, REQUESTS, chunk=7))
    assert [row.assignment for row in rows] == [request.assignment for request in REQUESTS]
    reasons = {row.reason for row in rows}
    assert reasons == {"", "refused", "no answer"}
    for row in rows:
        assert (row.text is None) == bool(row.reason)
        if row.text is not None:
            assert row.text.startswith(asked_values(row) + " | ")  # its own values, and no preamble
    assert {row.preamble for row in rows} == {"", "Sure! Here is the text:"}
    clean = list(write_documents(Writer(), REQUESTS))
    assert all(row.text.startswith(asked_values(row)) for row in clean)


def test_every_prompt_rendered_again_from_its_row_has_its_hash():
    for row in write_documents(Writer(fails=0.3), REQUESTS):
        assert row.prompt_hash == prompt_hash(render_document(TASK, row.assignment))
        assert all(isinstance(value, str) for _, value in row.assignment.values)


@pytest.mark.parametrize(
    "make", [lambda: REQUESTS, lambda: make_requests(TASK, plain_assignments(TASK, 40), render_simple_document)]
)
def test_chunks_change_nothing(make):
    requests = make()
    writers = [Writer(refuses=0.1), Writer(refuses=0.1), Writer(refuses=0.1)]
    rows = [list(write_documents(writer, requests, chunk=n)) for writer, n in zip(writers, (1, 10, 999), strict=True)]
    assert rows[0] == rows[1] == rows[2]
    assert len(writers[0].calls) == len(requests)
    assert sum(call["n"] for call in writers[2].calls) < 50


def test_equal_prompts_get_texts_of_their_own():
    requests = make_requests(TASK, plain_assignments(TASK, 20), render_simple_document)
    assert len({request.prompt for request in requests}) == 3
    assert [request.draw for request in requests if request.assignment.label == "tech"] == list(range(20))
    writer = Writer()
    rows = list(write_documents(writer, requests, chunk=30, seed=5))
    assert len({row.text for row in rows}) == 60
    assert [(call["n"], call["seed"]) for call in writer.calls] == [(10, 5), (10, 15)]
    assert report_documents(rows).repeated == 0


def test_rows_that_failed_are_asked_again_with_their_seeds():
    requests = make_requests(TASK, plain_assignments(TASK, 20), render_simple_document)
    whole = list(write_documents(Writer(), requests))
    part = [request for request in requests if request.draw in (1, 2, 7)]
    again = list(write_documents(Writer(), part))
    assert again == [row for row in whole if row.draw in (1, 2, 7)]


def test_more_documents_keep_those_that_there_were():
    more = make_requests(TASK, sample_assignments(TASK, 50))
    assert more[: len(REQUESTS)] == REQUESTS
    few = list(write_documents(Writer(refuses=0.2), REQUESTS, chunk=16))
    assert list(write_documents(Writer(refuses=0.2), more, chunk=16))[: len(few)] == few


def test_failures_keep_their_place_and_reason():
    def generate(asked, *, n, **_):
        return [[Failure("status 500: no memory") if k == 1 else f"text {k}" for k in range(n)] for _ in asked]

    requests = make_requests(TASK, plain_assignments(TASK, {"tech": 3}), render_simple_document)
    rows = list(write_documents(generate, requests))
    assert [(row.text, row.reason) for row in rows] == [("text 0", ""), (None, "status 500: no memory"), ("text 2", "")]
    assert Failure("No.") == "" and Failure("").reason == "no answer"


def test_rows_come_as_they_are_written_and_an_error_leaves_them():
    def generate(asked, **_):
        if len(calls) == 2:
            raise RuntimeError("the budget is spent")
        calls.append(asked)
        return [["text"] for _ in asked]

    calls = []
    distinct = [request for request in REQUESTS if request.draw == 0]
    rows = write_documents(generate, distinct, chunk=10)
    assert calls == []
    assert len(list(itertools.islice(rows, 10))) == 10 and len(calls) == 1
    assert len(list(itertools.islice(rows, 10))) == 10
    with pytest.raises(RuntimeError, match="budget"):
        next(rows)


def test_metaprompt():
    writer = Writer()
    instructions = write_instructions(writer, TASK).by_label

    def render(task, assignment):
        return render_instructed_document(task, assignment, instructions[assignment.label])

    requests = make_requests(TASK, plain_assignments(TASK, 2), render)
    assert requests[0].prompt.startswith("Write about sports in many ways.") and requests[-1].draw == 1
    assert report_documents(write_documents(writer, requests)).written == {"sport": 2, "tech": 2, "world": 2}


def test_a_report_counts_by_class():
    rows = list(write_documents(Writer(refuses=0.3, chats=0.5, fails=0.2), REQUESTS))
    report = report_documents([*rows, rows[0]._replace(text="a", reason=""), rows[0]._replace(text="a", reason="")])
    for label in TASK.classes:
        of = [row for row in rows if row.assignment.label == label]
        assert report.written[label] == sum(row.text is not None for row in of) + 2 * (label == "sport")
        assert report.missing[label] == {
            reason: sum(row.reason == reason for row in of) for reason in ("refused", "no answer")
        }
    assert report.preambles == sum(bool(row.preamble) for row in rows if row.text) + 2 * bool(rows[0].preamble)
    assert report.repeated == 1


def test_errors():
    with pytest.raises(ValueError, match="chunk: expected at least 1, got 0"):
        write_documents(Writer(), REQUESTS, chunk=0)
    with pytest.raises(ValueError, match=r"expected 2 lists of 1 texts at most, got \[1\] texts; the generator must"):
        list(write_documents(lambda asked, **_: [["text"]], REQUESTS[:2]))
    with pytest.raises(ValueError, match=r"at most, got \[2\] texts"):
        list(write_documents(lambda asked, **_: [["a", "b"]], REQUESTS[:1]))
    assert list(write_documents(Writer(), ())) == []


def test_a_shown_example_is_part_of_the_hash():
    render = functools.partial(render_simple_document, example="A goal.")
    one, other = (make_requests(TASK, plain_assignments(TASK, 1), each)[0] for each in (render, render_simple_document))
    rows = [next(write_documents(Writer(), [request])) for request in (one, other)]
    assert rows[0].prompt_hash != rows[1].prompt_hash
