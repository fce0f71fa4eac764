"""tools/score.py, with a reward that counts tokens in place of a model."""

import json

import jax
import numpy as np
import pytest
import tokenizers

from jaxalign import data, models
from jaxalign.io import hf, keys
from jaxalign.io.jobs import scoring
from tests.parity import tiny
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


@pytest.fixture
def reward_model(scorer, tmp_path):
    """A folder with a tiny reward model, whose tokenizer has a template."""
    config = models.RewardConfig(models.DecoderConfig(4, 8, 12, 1, 2, 1, 4, family="llama", max_length=40))
    folder = tmp_path / "model"
    hf.save_pretrained(folder, config, tiny.random_params(config), scorer.tokenizer)
    change_json(folder / "tokenizer_config.json", chat_template=TEMPLATE)
    return folder


TEMPLATE = "{% for m in messages %}{{ m.content + ' ' }}{% endfor %}"
CHATS = [{"prompt": [{"role": "user", "content": "a"}], "responses": ["a b", "b"]}]


def change_json(file, **changes):
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def change_weights(folder):
    config, params = hf.load_pretrained(folder)
    hf.save_pretrained(folder, config, jax.tree.map(lambda x: 1.5 * x, params), data.load_tokenizer(folder))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda folder: change_json(folder / "tokenizer_config.json", chat_template=TEMPLATE + "b"),
            {},
            "tokenizer.chat_template was .* and is",
        ),
        (lambda folder: change_json(folder / "config.json", rms_norm_eps=0.1), {}, "config.backbone.norm_epsilon was"),
        (
            lambda folder: change_json(
                folder / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 9.0}
            ),
            {},
            "config.backbone.rope_base was 10000.0 and is 9.0",
        ),
        (change_weights, {}, "weights was"),
        (lambda folder: None, {"max_response": 9}, "max_response was 10 and is 9"),
    ],
)
def test_rewards_of_two_models_are_never_in_one_file(reward_model, tmp_path, change, options, message):
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CHATS))
    limits = {"max_prompt": 10, "max_response": 10}
    arguments = str(reward_model), tmp_path / "chats.jsonl"
    score.main(*arguments, tmp_path / "out.jsonl", **limits)
    written = (tmp_path / "out.jsonl").read_bytes()
    score.main(*arguments, tmp_path / "out.jsonl", **limits)
    change(reward_model)
    with pytest.raises(ValueError, match=f"out.jsonl was begun with other settings: {message}"):
        score.main(*arguments, tmp_path / "out.jsonl", **limits | options)
    assert (tmp_path / "out.jsonl").read_bytes() == written
    # The lines know it too, should the file beside them be that of another.
    score.main(*arguments, tmp_path / "new.jsonl", **limits | options)
    keys.settings_file(tmp_path / "out.jsonl").write_bytes(keys.settings_file(tmp_path / "new.jsonl").read_bytes())
    with pytest.raises(ValueError, match="out.jsonl, line 1: model is"):
        score.main(*arguments, tmp_path / "out.jsonl", **limits | options)
