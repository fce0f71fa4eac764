"""experiments.echolm on files: every task from its command to its report, with models that are not there."""

import types

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from experiments.common.fields import replace
from experiments.echolm import __main__ as echolm
from experiments.echolm import real
from experiments.echolm.small_model import ALONE, CHOSEN
from jaxalign.typing import OptionScore

WORDS = ("tea", "bank", "sea", "king")


class WordEncoder:
    """Embeds a text by the words that it has."""

    truncated = 3

    def __init__(self, model, text_lengths):
        self.given = model, text_lengths

    def __call__(self, texts):
        counts = [[text.count(word) + 0.01 * len(text) * place for place, word in enumerate(WORDS)] for text in texts]
        return np.asarray(counts, np.float32)


def score_options(prompts, options):
    """Likes what stands last in the prompt as the answer of an example."""
    return [
        [OptionScore(float(prompt.rfind(f"Intent:{option}")), 1) for option in choices]
        for prompt, choices in zip(prompts, options, strict=True)
    ]


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs a preset on rows of a file."""
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/config.json").write_text("{}")
    engine = types.SimpleNamespace(
        score_options=score_options, generate=lambda prompts, **how: [["It is 4."] for _ in prompts]
    )
    monkeypatch.setattr(real, "Encoder", WordEncoder)
    monkeypatch.setattr(real, "open_engine", lambda flags, folder, ledger: engine)
    monkeypatch.setattr(real.accounts, "told", lambda engine: {})

    def run(task, data, **fields):
        config = replace(echolm.PRESETS[task], data=str(data), encoder=str(tmp_path / "encoder"), **fields)
        config = replace(config, output=tmp_path / "run", text_lengths=(8,))
        return echolm.main(config), (config.output / "report.html").read_text()

    return run


def write(path, rows):
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def test_pairs_of_questions(command, tmp_path):
    rows = [
        {"origin": f"{word} {n}", "similar": f"{other} {n}?", "label": int(word == other)}
        for n in range(6)
        for word, other in (("tea", "tea"), ("bank", "sea"))
    ]
    found, page = command("duplicates", write(tmp_path / "pairs.parquet", rows), questions=6)
    assert found["Same meaning or not, labelled pairs/embeddings/AUC"] == 1
    assert "people do not" in page and "texts cut for the encoder" in page


def test_outcomes_of_two_models(command, tmp_path, monkeypatch):
    monkeypatch.setattr(real.outcome_routers, "make_network", lambda encoder: real.outcome_routers.learn_words)
    monkeypatch.setattr(real.outcome_routers, "make_stacked", lambda encoder: real.outcome_routers.learn_words)
    rows = [
        {
            "prompt": f"{WORDS[n % 2]} number {n}",
            "subject": WORDS[n % 2],
            "mixtral_correct": n % 2 == 0,
            "gpt4_correct": True,
            "contaminated": n == 0,
        }
        for n in range(60)
    ]
    found, page = command("outcomes", write(tmp_path / "outcomes.parquet", rows))
    assert found["routing/random/APGR"] < found["routing/words/APGR"] <= found["routing/oracle/APGR"]
    assert "Quality by cost" in page and "rows left out" in page


def test_a_small_model_with_examples(command, tmp_path):
    intents = [
        {"text": f"{word} please {n}", "intent": word, "domain": domain}
        for domain, words in (("food", WORDS[:2]), ("land", WORDS[2:]))
        for word in words
        for n in range(8)
    ]
    for name in ("train", "test"):
        write(tmp_path / f"{name}.parquet", intents)
    found, _ = command("intents", tmp_path, questions=4)
    accuracy = {name.split("/")[1]: value for name, value in found.items() if name.endswith("/accuracy")}
    assert accuracy[CHOSEN] == 1 > accuracy[ALONE]


def test_sums(command, tmp_path):
    rows = [
        {"prompt": f"{WORDS[n % 4]} {n}", "gpt4_response": "It is 4.", "answer": "4", "contaminated": False}
        for n in range(12)
    ]
    found, _ = command("sums", write(tmp_path / "sums.parquet", rows), questions=3)
    assert all(value == 1 for name, value in found.items() if name.endswith("/accuracy"))


def test_files_are_asked_for(tmp_path):
    config = replace(echolm.PRESETS["duplicates"], output=tmp_path)
    with pytest.raises(ValueError, match="task duplicates needs --data and --encoder, got '' and ''"):
        echolm.main(config)
