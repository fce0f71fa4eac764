"""A chat model in this process is asked as a server asks it: a text is one turn of the user, an option the answer."""

import shutil

import numpy as np
import pytest

from experiments.common.llm import accounts
from experiments.common.llm.engine import open_engine
from experiments.common.llm.server import LanguageModel
from jaxalign.io import hf, llm
from jaxalign.io.llm.service import Ledger
from tests.io.llm import test_local
from tests.io.serve.engine import tiny_chat

PROMPTS = ["Is water wet?", "Is it over there?"]
CHATS = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
WRITING = {"n": 2, "max_tokens": 6, "seed": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat") / "model"
    tiny_chat.save(folder)
    return folder


@pytest.fixture(scope="module")
def local(folder):
    """The model's own callables."""
    model, params, tokenizer = tiny_chat.save(folder)
    generate = llm.local.make_generate(model, params, tokenizer)
    return generate, llm.local.make_score_options(model, params, tokenizer)


def opened(model, run, replay=None):
    return open_engine(LanguageModel(model=str(model), replay=replay), run, Ledger())


def test_texts_are_turns_and_options_are_answers(folder, local, tmp_path):
    generate, score_options = local
    engine = opened(folder, tmp_path)
    texts = engine.generate(PROMPTS, **WRITING)
    assert texts == generate(CHATS, **WRITING) != generate(PROMPTS, **WRITING)
    scores = np.array(engine.score_options(PROMPTS, [(" Yes", " No")] * 2))
    np.testing.assert_allclose(scores, np.array(score_options(CHATS, [("Yes", "No")] * 2)), rtol=1e-6)
    assert engine.generate(CHATS, **WRITING) == texts  # a chat stays as it is
    as_said = np.array(engine.score_options(CHATS, [(" Yes", " No")] * 2))
    np.testing.assert_allclose(as_said, np.array(score_options(CHATS, [(" Yes", " No")] * 2)), rtol=1e-6)
    assert "each prompt is a turn of the user" in accounts.told(engine)["options scored"]


def test_a_replay_knows_that_texts_were_turns(folder, tmp_path):
    """It has no template at hand; of the same prompts it gives the same, and the model may be gone."""
    shutil.copytree(folder, tmp_path / "model")
    engine = opened(tmp_path / "model", tmp_path)
    texts, scores = engine.generate(PROMPTS, **WRITING), engine.score_options(PROMPTS, [(" Yes", " No")] * 2)
    assert engine.documents.generate(PROMPTS, **WRITING) == texts  # documents are asked for in turns as well
    shutil.rmtree(tmp_path / "model")
    replayed = opened(tmp_path / "model", tmp_path / "replay", replay=tmp_path / "answers.jsonl")
    assert replayed.generate(PROMPTS, **WRITING) == texts
    assert replayed.score_options(PROMPTS, [(" Yes", " No")] * 2) == scores
    assert replayed.scored_by() == engine.scored_by()


def test_without_a_template_texts_are_continued(tmp_path):
    tokenizer = test_local.make_tokenizer()
    model, params = test_local.make_policy(tokenizer, max_length=64)
    generate = llm.local.make_generate(model, params, tokenizer)
    hf.save_pretrained(tmp_path / "model", model.config, params, tokenizer)
    engine = opened(tmp_path / "model", tmp_path)
    assert engine.generate(PROMPTS, **WRITING) == generate(PROMPTS, **WRITING)
    assert not llm.turns.noted(llm.Cache(tmp_path / "answers.jsonl"), engine.name)
    assert "turn" not in engine.scored_by()
