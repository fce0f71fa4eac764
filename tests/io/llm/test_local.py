"""A model in this process as a language model: options' scores equal transformers', and no batch changes an answer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tokenizers
import torch
import transformers

from jaxalign import data, models, sampling
from jaxalign.data import encode_options
from jaxalign.io import hf, llm
from jaxalign.typing import GenerateFn, ScoreOptionsFn

# Places of prompt, options and their tokens come in few sizes: the first two run side by side, the others alone.
PROMPTS = [
    "Is water wet? Answer:",
    "Over here, at the end of the",
    "A",
    "Is the sea, which is wide and wet, also deep? Answer:",
]
OPTIONS = [(" Yes", " No, dry"), ("re", " world. The end"), (" 1", " 22", "."), (" Yes", " No")]


def make_tokenizer():
    """A byte-level BPE of few merges, "there" among them."""
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["there is water over there, the end of the world"] * 9, trainer)
    config = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": True}
    return data.HfTokenizer(backend, config)


def make_policy(tokenizer, max_length):
    """A model and random parameters, far from uniform."""
    config = models.DecoderConfig(
        family="qwen3",
        vocab_size=tokenizer.vocab_size,
        width=16,
        mlp_width=32,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        head_dim=4,
        max_length=max_length,
        qk_norm=True,
        tied_embeddings=True,
    )
    model = models.build(config)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]
    return model, jax.tree.map(lambda leaf: 3 * leaf, params)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="module")
def policy(tokenizer):
    return make_policy(tokenizer, max_length=96)


@pytest.fixture(scope="module")
def theirs(policy, tmp_path_factory):
    """transformers' log-probabilities of the tokens of a row after the first ``start``."""
    folder = tmp_path_factory.mktemp("exported")
    hf.save_pretrained(folder, policy[0].config, policy[1])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def logps(tokens, start):
        with torch.no_grad():
            rows = torch.log_softmax(model(torch.tensor([tokens])).logits[0], dim=-1)
        return [float(rows[place - 1, tokens[place]]) for place in range(start, len(tokens))]

    return logps


@pytest.fixture(scope="module")
def scores(policy, tokenizer):
    return llm.local.make_score_options(*policy, tokenizer)(PROMPTS, OPTIONS)


def test_they_are_the_callables_that_judges_take(policy, tokenizer):
    assert isinstance(llm.local.make_generate(*policy, tokenizer), GenerateFn)
    assert isinstance(llm.local.make_score_options(*policy, tokenizer), ScoreOptionsFn)


@pytest.mark.parametrize("place", range(len(PROMPTS)))
def test_scores_equal_transformers(scores, tokenizer, theirs, place):
    """Of prompt and option tokenised together, the log-probabilities from where the options' rows differ."""
    start = [tokenizer.bos_id]
    joint = [start + tokenizer.encode(PROMPTS[place] + option) for option in OPTIONS[place]]
    rows = [start + tokenizer.encode(PROMPTS[place]), *joint]
    common = next(n for n in range(99) if len({tuple(row[: n + 1]) for row in rows}) > 1 or n == len(rows[0]))
    for score, tokens in zip(scores[place], joint, strict=True):
        assert score.logp == pytest.approx(sum(theirs(tokens, common)), abs=1e-4)
        assert score.tokens == len(tokens) - common


def test_a_token_across_the_border_is_scored_with_the_option(tokenizer):
    """ "the" and "re" are one token, "there": of the prompt's tokens all but the last are conditioned on."""
    encoded = encode_options("the end of the", ("re", " world. The end"), tokenizer)
    whole = tokenizer.encode("the end of the")
    assert encoded.prompt == [tokenizer.bos_id, *whole[:-1]]
    assert tokenizer.decode(encoded.options[0]).strip() == "there"
    assert encoded.options[1][0] == whole[-1]


def test_no_batch_changes_a_score(policy, tokenizer, scores):
    """Alone, in another order, what ran beside one another or beside rows of padding."""
    encoded = [encode_options(*each, tokenizer) for each in zip(PROMPTS, OPTIONS, strict=True)]
    assert [places for _, places in llm.local._batches(encoded, 8)] == [[0, 1], [2], [3]]
    order = [3, 1, 0, 2]
    score = llm.local.make_score_options(*policy, tokenizer, batch_size=1)
    again = score([PROMPTS[place] for place in order], [OPTIONS[place] for place in order])
    for place, row in zip(order, again, strict=True):
        np.testing.assert_allclose([s.logp for s in row], [s.logp for s in scores[place]], rtol=1e-5, atol=1e-5)


def test_the_end_of_the_text_is_scored_when_asked_for(policy, tokenizer, scores, theirs):
    (row,) = llm.local.make_score_options(*policy, tokenizer, ended=True)(PROMPTS[:1], OPTIONS[:1])
    tokens = [tokenizer.bos_id, *tokenizer.encode(PROMPTS[0] + " Yes"), tokenizer.eos_id]
    assert row[0].tokens == scores[0][0].tokens + 1
    assert row[0].logp == pytest.approx(scores[0][0].logp + theirs(tokens, len(tokens) - 1)[0], abs=1e-4)


def test_chats_are_written_by_their_template(policy, tokenizer):
    chat = [{"role": "user", "content": "Is water wet?"}]
    score = llm.local.make_score_options(*policy, tokenizer)
    as_text = tokenizer.render_chat(chat)
    assert score([chat], [("Yes", "No")]) == score([as_text], [("Yes", "No")])


def test_what_cannot_be_scored_is_an_error(policy, tokenizer):
    score = llm.local.make_score_options(*policy, tokenizer)
    with pytest.raises(ValueError, match="begins with option"):
        score(["A"], [(" Yes", " Yes, it is")])
    with pytest.raises(ValueError, match="prompt 0 has .* tokens and up to 1 follow; .* room for 96"):
        score(["x" * 99], [("y", "z")])


@pytest.fixture(scope="module")
def generate(policy, tokenizer):
    return llm.local.make_generate(*policy, tokenizer, num_slots=4)


def test_texts_depend_on_prompt_sample_and_seed_alone(generate):
    options = {"temperature": 0.7, "max_tokens": 8}
    texts = generate(PROMPTS[:2], n=3, seed=5, **options)
    assert [len(row) for row in texts] == [3, 3] and len({*texts[0]}) > 1
    assert generate([PROMPTS[1], PROMPTS[0], PROMPTS[1]], n=3, seed=5, **options) == [texts[1], texts[0], texts[1]]
    assert generate(PROMPTS[:1], n=2, seed=5, **options) == [texts[0][:2]]
    assert generate(PROMPTS[:1], n=3, seed=6, **options) != texts[:1]


def test_at_temperature_0_texts_are_the_likeliest(generate, policy, tokenizer):
    tokens = np.array([[tokenizer.bos_id, *tokenizer.encode(PROMPTS[0])]])
    expected = sampling.generate(
        *policy,
        tokens,
        np.ones(tokens.shape, bool),
        jax.random.key(0),
        num_samples=1,
        max_new_tokens=6,
        eos_id=tokenizer.eos_id,
        rule=sampling.greedy,
    )
    text = tokenizer.decode(np.asarray(expected.tokens[0, 0][expected.mask[0, 0]]))
    assert generate(PROMPTS[:1], temperature=0.0, max_tokens=6) == [[text]]
    assert generate(PROMPTS[:1], temperature=0.0, max_tokens=6, stop=[text[2]]) == [[text[: text.index(text[2])]]]


def test_a_prompt_without_room_is_an_error(generate):
    with pytest.raises(ValueError, match="up to 90 follow"):
        generate(PROMPTS[:1], max_tokens=90)
