"""Scores of a file: what is written, what is skipped, and what a killed run leaves behind."""

import json
import string

import numpy as np
import pytest

from jaxalign import data
from jaxalign.data.text import encoding
from jaxalign.io.jobs import scoring
from tests.full_disk import limited


def unused(batch):
    raise AssertionError("scored again")


def encode(records):
    """One id per lower-case letter, from 3 on: 0 pads, 1 ends, 2 begins."""

    def ids(text):
        return [3 + string.ascii_lowercase.index(letter) for letter in text]

    def encode_fn(record):
        prompt = ids(data.render_context(record.prompt).removeprefix("user: "))
        return [2], data.EncodedRecord(prompt, [[*ids(text), 1] for text in record.responses])

    return encoding.encode_parts(records, encode_fn, pad_id=0, limits=(4, 5))


def length(batch):
    """The reward of a response is its number of letters, over 10."""
    return np.maximum(batch.response_mask.sum(axis=2) - 1, 0) / 10


RECORDS = [
    data.PreferenceRecord("ab", ("a", "bcd", ""), (0.5,) * 3, id="x", source="s"),
    data.PreferenceRecord(({"role": "user", "content": "c"},), ("ab",), (0.5,)),
    *[data.PreferenceRecord("ab", (letter * (1 + n % 4), letter), (0.5,) * 2) for n, letter in enumerate("cdefghijk")],
]
REWARDS = [[0.1, 0.3, 0.0], [0.2], *[[0.1 * (1 + n % 4), 0.1] for n in range(9)]]


def score(out, records=RECORDS, reward_fn=length, encode_fn=encode, model="m", batch_size=1, list_size=2, **options):
    options = dict(model=model, batch_size=batch_size, list_size=list_size, show=False) | options
    return scoring.score_file(records, reward_fn, encode_fn, out, **options)


@pytest.fixture
def whole(tmp_path) -> bytes:
    score(tmp_path / "whole.jsonl")
    return (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize(
    "sizes", [{}, {"batch_size": 3, "list_size": 1}, {"list_size": 9}, {"buckets": [(2, 2), (4, 5)]}]
)
def test_every_record_has_one_line(tmp_path, sizes):
    report = score(tmp_path / "new" / "out.jsonl", **sizes)
    rows = scoring.read_scores(tmp_path / "new" / "out.jsonl")
    assert [row["index"] for row in rows] == list(range(11))
    for row, rewards in zip(rows, REWARDS, strict=True):
        np.testing.assert_allclose(row["rewards"], rewards, rtol=1e-6)
    assert (rows[0]["id"], rows[0]["source"], rows[0]["model"]) == ("x", "s", "m")
    # Ten records ask "ab", nine of them after another one; one response is empty.
    assert report == (11, 0, 0, 9, 1, ())


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.77, 0.999, 1.0])
def test_what_was_cut_off_anywhere_is_completed(tmp_path, whole, share):
    """A kill leaves the beginning of the file, with or without a part of the line that was being written."""
    cut = whole[: int(share * len(whole))]
    (tmp_path / "out.jsonl").write_bytes(cut)
    assert score(tmp_path / "out.jsonl").resumed == cut.count(b"\n")
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_a_killed_run_computes_nothing_that_is_written(tmp_path, whole):
    calls = []

    def until_killed(batch):
        calls.append(batch)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return length(batch)

    with pytest.raises(KeyboardInterrupt):
        score(tmp_path / "out.jsonl", reward_fn=until_killed)
    written = (tmp_path / "out.jsonl").read_bytes()
    # Eight batches of one record are written at once; the first record has three responses, two lists of two.
    assert written.count(b"\n") == 8 and whole.startswith(written)
    seen = []
    assert score(tmp_path / "out.jsonl", reward_fn=lambda batch: seen.append(batch) or length(batch)).resumed == 8
    assert (tmp_path / "out.jsonl").read_bytes() == whole and len(seen) == 3
    assert score(tmp_path / "out.jsonl", reward_fn=unused).resumed == 11


def test_progress_is_shown(tmp_path, capsys):
    score(tmp_path / "out.jsonl", show=True)
    assert "scoring out.jsonl: step 11/11" in capsys.readouterr().err


TOO_LONG = data.PreferenceRecord("abcd", ("a", "b"), (0.5,) * 2, id="long")
TOO_LONG_RESPONSE = data.PreferenceRecord("a", ("a", "abcde"), (0.5,) * 2)
NO_NUMBER = data.PreferenceRecord("a", ("a", "zz"), (0.5,) * 2)


def no_number_for_z(batch):
    return np.where(batch.response_tokens[:, :, 0] == 28, np.nan, length(batch))


@pytest.mark.parametrize(
    "bad, message",
    [
        (TOO_LONG, "record 1, counted from 0, id 'long': prompt: longer than the 4 tokens that fit"),
        (TOO_LONG_RESPONSE, "record 1, counted from 0: responses: 1 longer than the 5 tokens that fit"),
        (NO_NUMBER, "record 1, counted from 0: the model gives nan, not a finite number, to response 1"),
    ],
)
def test_a_bad_record_is_an_error_or_a_line_that_says_so(tmp_path, bad, message):
    records = [RECORDS[0], bad, RECORDS[1]]
    with pytest.raises(ValueError, match=f"{message}. Correct it, or skip bad rows"):
        score(tmp_path / "out.jsonl", records, no_number_for_z)
    report = score(tmp_path / "out.jsonl", records, no_number_for_z, skip_bad_rows=True)
    assert (report.records, report.skipped, report.resumed, report.problems) == (3, 1, 1, (message,))
    rows = scoring.read_scores(tmp_path / "out.jsonl")
    assert [row.get("rewards") for row in rows][1] is None and rows[1]["skipped"] in message
    np.testing.assert_allclose(rows[2]["rewards"], [0.2], rtol=1e-6)
    # What an earlier call skipped is counted by a later one.
    assert score(tmp_path / "out.jsonl", records, unused, skip_bad_rows=True).skipped == 1


def test_nothing_but_bad_records(tmp_path):
    assert score(tmp_path / "out.jsonl", [TOO_LONG] * 2, unused, skip_bad_rows=True).skipped == 2


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": "other"}, "line 1: model is 'm', but this run would write 'other'; it was made from other data or"),
        ({"records": [*RECORDS[:4], RECORDS[5], *RECORDS[5:]]}, "line 5: record is '[0-9a-f]{16}', but this run"),
        ({"records": RECORDS[:3]}, "has 11 lines for 3 records"),
    ],
)
def test_a_file_of_something_else_is_not_continued(tmp_path, whole, change, message):
    out = tmp_path / "whole.jsonl"
    with pytest.raises(ValueError, match=message):
        score(out, **change)
    assert out.read_bytes() == whole


def test_the_part_of_a_key_that_differs_is_named(tmp_path):
    out, settings = tmp_path / "out.jsonl", {"config": {"rope_base": 1.0}, "tokenizer": {"chat_template": "a"}}
    score(out, settings=settings)
    before = out.read_bytes()
    for change, message in (
        ({"config": {"rope_base": 2.0}}, "config.rope_base was 1.0 and is 2.0"),
        ({"tokenizer": {"chat_template": "b"}}, "tokenizer.chat_template was 'a' and is 'b'"),
        ({"max_prompt": 9}, "max_prompt was None and is 9"),
    ):
        with pytest.raises(ValueError, match=f"begun with other settings: {message}. Use those, or name a new file"):
            score(out, settings=settings | change, reward_fn=unused)
    assert score(out, settings=settings, reward_fn=unused).resumed == 11
    assert out.read_bytes() == before


def test_lines_say_which_row_they_are_of(tmp_path):
    """Records are counted, and so are the rows of the source, whose numbers stay what they are behind a bad row."""
    rows = [n + (n > 0) for n in range(11)]
    score(tmp_path / "out.jsonl", rows=rows)
    lines = scoring.read_scores(tmp_path / "out.jsonl")
    assert [(line["index"], line["row"]) for line in lines] == list(enumerate(rows))
    with pytest.raises(ValueError, match="line 2: row is 2, but this run would write 1"):
        score(tmp_path / "out.jsonl", rows=range(11))
    with pytest.raises(ValueError, match="row 8, id 'long': prompt: longer than"):
        score(tmp_path / "bad.jsonl", [RECORDS[0], TOO_LONG], rows=[0, 7])


def test_what_cannot_be_encoded_is_named_or_counted(tmp_path):
    bad = data.PreferenceRecord("ab", ("A capital",), (0.5,), id="x")
    with pytest.raises(ValueError, match="record 1, counted from 0, id 'x': not encoded: substring not found. Correct"):
        score(tmp_path / "out.jsonl", [RECORDS[0], bad, RECORDS[1]])
    assert score(tmp_path / "out.jsonl", [RECORDS[0], bad, RECORDS[1]], skip_bad_rows=True).skipped == 1


def test_a_damaged_line_is_named(tmp_path, whole):
    lines = whole.splitlines(keepends=True)
    (tmp_path / "out.jsonl").write_bytes(b"".join([lines[0], b"{ruined\n", *lines[2:]]))
    with pytest.raises(ValueError, match=r"out\.jsonl, line 2: not JSON"):
        score(tmp_path / "out.jsonl")


def test_a_full_disk_leaves_what_was_written(tmp_path, whole):
    full = len(b"".join(whole.splitlines(keepends=True)[:4])) + 50
    with limited(full), pytest.raises(OSError, match="could not write record 4 to .*out.jsonl: .*it continues there"):
        score(tmp_path / "out.jsonl")
    assert whole.startswith((tmp_path / "out.jsonl").read_bytes())
    assert score(tmp_path / "out.jsonl").resumed == 4
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_lines_are_plain_json(whole):
    first = json.loads(whole.splitlines()[0])
    assert list(first) == ["index", "id", "source", "record", "model", "rewards"]
