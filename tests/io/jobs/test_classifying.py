"""Classes of a file's texts: what is written, what is skipped, and what a killed run leaves behind."""

import numpy as np
import pytest

from jaxalign.data import TextRow
from jaxalign.io import line_file
from jaxalign.io.jobs import classifying
from tests.letters import Letters

CLASSES = classifying.Classes(("short", "long"))
WORDS = ["ab", "abcdef", "a", "abcd", "c", "abcdefgh", "de", "f", "ghi", "jklmno", "p"]
TEXTS = [TextRow(word, id=f"id {n}") for n, word in enumerate(WORDS)]


def by_length(batch):
    """The chance of "long" is a tenth for each letter that is read, behind a beginning."""
    long = (batch.mask.sum(axis=1) - 1).clip(0) / 10
    return np.stack([1 - long, long], axis=1)


def classify(out, texts=TEXTS, probabilities_fn=by_length, classes=CLASSES, batch_size=2, **options):
    options = dict(model="m", row_lengths=(3, 7), show=False) | options
    fns = probabilities_fn, Letters(), classes.describe
    return classifying.classify_file(texts, *fns, out, batch_size=batch_size, **options)


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(classifying, "BATCHES_AT_ONCE", 2)


@pytest.fixture
def whole(tmp_path) -> bytes:
    classify(tmp_path / "whole.jsonl")
    return (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_every_text_has_one_line(tmp_path, batch_size):
    """At most 7 tokens: six letters are read behind the beginning, and the text of eight is cut."""
    report = classify(tmp_path / "new" / "out.jsonl", batch_size=batch_size, rows=range(2, 13))
    lines = line_file.read_rows(tmp_path / "new" / "out.jsonl")
    assert [(line["index"], line["row"], line["id"]) for line in lines] == [(n, n + 2, f"id {n}") for n in range(11)]
    for word, line in zip(WORDS, lines, strict=True):
        long = min(len(word), 6) / 10
        assert line["probabilities"] == pytest.approx({"short": 1 - long, "long": long})
        assert line["label"] == ("long" if long > 0.5 else "short") and line["truncated"] == (len(word) > 6)
    assert report == (11, 0, 0, 1, ())


def test_several_labels(tmp_path):
    chances = {2: [0.5, 0.49], 3: [0.9, 0.7], 1: [0.1, 0.0]}
    classes = classifying.Classes(("a", "b"), several=True)
    texts = [TextRow("x"), TextRow("xy"), TextRow("")]
    classify(
        tmp_path / "out.jsonl",
        texts,
        lambda batch: np.array([chances.get(n, [0, 0]) for n in batch.mask.sum(1)]),
        classes,
    )
    lines = line_file.read_rows(tmp_path / "out.jsonl")
    assert [line["labels"] for line in lines] == [["a"], ["a", "b"], []]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.77, 0.999, 1.0])
def test_what_was_cut_off_anywhere_is_completed(tmp_path, whole, share):
    cut = whole[: int(share * len(whole))]
    (tmp_path / "out.jsonl").write_bytes(cut)
    assert classify(tmp_path / "out.jsonl").resumed == cut.count(b"\n")
    assert (tmp_path / "out.jsonl").read_bytes() == whole


def test_a_bad_text_is_an_error_or_a_line_that_says_so(tmp_path):
    def no_number_for_z(batch):
        return np.where((batch.tokens == 28).any(axis=1)[:, None], np.nan, by_length(batch))

    texts = [TEXTS[0], TextRow("z", id="bad"), TEXTS[1]]
    message = "record 1, counted from 0, id 'bad': text: the model gives no finite probabilities"
    with pytest.raises(ValueError, match=f"{message}. Correct it, or skip bad rows"):
        classify(tmp_path / "out.jsonl", texts, no_number_for_z)
    report = classify(tmp_path / "out.jsonl", texts, no_number_for_z, skip_bad_rows=True)
    assert report == (3, 1, 1, 0, (message,))
    lines = line_file.read_rows(tmp_path / "out.jsonl")
    assert "label" not in lines[1] and lines[2]["label"] == "long"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "other"}, "line 1: model is 'm', but this run would write 'other'"),
        ({"texts": [TEXTS[1], *TEXTS[1:]]}, "line 1: record is '[0-9a-f]{16}', but this run"),
        ({"texts": TEXTS[:3]}, "has 11 lines for 3 records"),
    ],
)
def test_a_file_of_something_else_is_not_continued(tmp_path, whole, change, message):
    with pytest.raises(ValueError, match=message):
        classify(tmp_path / "whole.jsonl", **change)
    assert (tmp_path / "whole.jsonl").read_bytes() == whole
