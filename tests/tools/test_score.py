"""tools/score.py, with a reward that counts tokens in place of a model."""

import json

import numpy as np
import pytest
import tokenizers

from jaxalign import data
from jaxalign.io import scoring
from tools import score

ROWS = [
    {"question": "a b", "good": " a", "bad": " b b", "name": 7},
    {"question": "a", "good": "", "bad": " b", "name": 8},
    {"question": "a b a b", "good": " a", "bad": " b", "name": 9},
    {"question": "a b", "good": "a"},
]
COLUMNS = data.UnlabelledColumns("question", ("good", "bad"), id="name")
LIMITS = {"max_prompt": 3, "max_response": 3}
SIZES = {"batch_size": 2, "list_size": 2}


@pytest.fixture
def scorer():
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<eos>": 0, "<unk>": 1, "a": 2, "b": 3}, "<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = data.HfTokenizer(backend, {"eos_token": "<eos>", "unk_token": "<unk>"})
    return score.Scorer(lambda batch: batch.response_mask.sum(axis=2).astype(np.float32), tokenizer, "counter")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_rows_are_scored_skipped_and_counted(scorer, file, tmp_path, capsys):
    out = tmp_path / "scores.jsonl"
    score.score(scorer, file, out, COLUMNS, LIMITS, SIZES, skip_bad_rows=True)
    rows = scoring.read_scores(out)
    assert [(row["id"], row.get("rewards")) for row in rows] == [("7", [2, 3]), ("8", [1, 2]), ("9", None)]
    assert {row["model"] for row in rows} == {"counter/3/3"}
    printed = capsys.readouterr().out
    assert "2 of 4 rows scored (0 lines were there), 1 not readable, 1 not scored, 0 with the" in printed
    assert "1 empty responses" in printed
    assert "row 4: bad: no such column" in printed and "id '9': prompt: longer than the 3 tokens" in printed


def test_a_bad_row_stops_the_run(scorer, file, tmp_path):
    with pytest.raises(ValueError, match="rows.jsonl, row 4: bad: no such column"):
        score.score(scorer, file, tmp_path / "scores.jsonl", COLUMNS, LIMITS, SIZES, skip_bad_rows=False)


@pytest.mark.parametrize(("flags", "expected"), [(("responses",), "responses"), (("good", "bad"), ("good", "bad"))])
def test_columns_of_the_command_line(scorer, file, tmp_path, monkeypatch, flags, expected):
    seen = []
    monkeypatch.setattr(score, "load_scorer", lambda model: scorer)
    monkeypatch.setattr(score, "score", lambda *arguments, **options: seen.append((arguments, options)))
    score.main("some/model", file, tmp_path / "out.jsonl", responses=flags, id="name", skip_bad_rows=True)
    (found, path, out, columns, limits, sizes), options = seen[0]
    assert found is scorer and path == file and out == tmp_path / "out.jsonl" and options == {"skip_bad_rows": True}
    assert columns == data.UnlabelledColumns("prompt", expected, None, "name")
    assert limits == {"max_prompt": 1024, "max_response": 1024} and sizes == {"batch_size": 4, "list_size": 4}
