"""Asking for articles in three ways, of writers whose texts are known, and of a tiny model."""

import jax
import jax.numpy as jnp
import pytest

from jaxalign import models, planning
from jaxalign.planning import Budget, Draft, PlannedArticle
from tests.letters import Letters

PARTS = ("outline",)
BUDGET = Budget(40, 60)
RECORD = PlannedArticle("Bees", "# Life\nBees fly.", outline=("Life",))


def scripted(answers):
    """A writer that answers by what the prompt asks for, and what it was asked."""
    asked = []

    def write(prompts, *, budget, prefix=""):
        asked.extend((prompt, budget, prefix) for prompt in prompts)
        kinds = [
            "T4" if "and then write it" in p else "T2" if p.startswith("Plan") else "T3" if "plan" in p else "T1"
            for p in prompts
        ]
        return [
            Draft(prefix + answers[kind], len(prompt), len(answers[kind]))
            for kind, prompt in zip(kinds, prompts, strict=True)
        ]

    return write, asked


PLAN = planning.render_plan(RECORD, PARTS)
ANSWERS = {
    "T1": "Bees.</article>",
    "T2": PLAN,
    "T3": "Bees fly.</article>",
    "T4": PLAN + "<article>Bees fly.</article>",
}


def test_an_article_at_once_begins_with_its_mark_and_has_no_plan():
    write, asked = scripted(ANSWERS)
    (written,) = planning.write_articles(write, ["Bees"], budget=BUDGET)
    ((prompt, budget, prefix),) = asked
    assert (prompt, budget, prefix) == (planning.WORDING.ask_article("Bees"), Budget(0, 60), "<article>\n")
    assert written == ("Bees.", {}, "", True, 1, len(prompt), len(ANSWERS["T1"]))


def test_a_plan_and_an_article_in_one_turn():
    write, asked = scripted(ANSWERS)
    (written,) = planning.write_planned_articles(write, ["Bees"], budget=BUDGET, parts=PARTS)
    assert written[:5] == ("Bees fly.", {"outline": "# Life"}, "", True, 1) and asked[0][1:] == (BUDGET, "")


def test_several_turns_pay_for_both_prompts():
    write, asked = scripted(ANSWERS)
    (written,) = planning.write_in_turns(write, ["Bees"], budget=BUDGET, parts=PARTS)
    assert [each[1:] for each in asked] == [(Budget(40, 0), ""), (Budget(0, 60), "<article>\n")]
    assert asked[1][0] == planning.WORDING.ask_continuation("Bees", PLAN)
    assert written[:5] == ("Bees fly.", {"outline": "# Life"}, "", True, 2)
    assert written.prompt_tokens == len(asked[0][0]) + len(asked[1][0])
    assert written.completion_tokens == len(PLAN) + len(ANSWERS["T3"])


def test_a_plan_that_is_cut_off_gets_no_second_turn():
    write, asked = scripted({**ANSWERS, "T2": PLAN[:-4]})
    (written,) = planning.write_in_turns(write, ["Bees"], budget=BUDGET, parts=PARTS)
    assert len(asked) == 1 and written[:5] == ("", {}, "cut off in the plan", False, 1)
    assert planning.write_in_turns(write, [], budget=BUDGET, parts=PARTS) == []


def test_any_language_model_is_a_writer_and_a_plan_beyond_its_budget_ends_there():
    def generate(prompts, *, n, temperature, max_tokens, seed):
        assert (n, temperature, max_tokens, seed) == (1, 0.0, 100, 3)
        return [[ANSWERS["T4"]] for _ in prompts]

    for plan_tokens, reason in ((40, ""), (20, "cut off in the plan")):
        write = planning.make_writer(generate, len, seed=3)
        budget = Budget(plan_tokens, 100 - plan_tokens)
        (written,) = planning.write_planned_articles(write, ["Bees"], budget=budget, parts=PARTS)
        assert written.reason == reason and written.completion_tokens == len(ANSWERS["T4"])


def test_texts_stop_where_their_budget_ends():
    decode = lambda tokens: "".join(map(chr, tokens))  # noqa: E731
    stop = planning.make_budget_stop(decode, Budget(len(PLAN) + 9, 4))
    text = [*map(ord, PLAN + "<article>abcdef")]
    assert stop(text[: len(PLAN) + 9 + 3]) is None
    # However late it looks, the article has four tokens.
    assert stop(text) == stop(text[:-1]) == len(PLAN) + 9 + 4
    assert planning.make_budget_stop(decode, Budget(len(PLAN) + 8, 4))(text) == len(PLAN) + 8
    begun = planning.make_budget_stop(decode, Budget(0, 4), "<article>\n")
    assert (begun([*b"abc"]), begun([*b"abcdef"])) == (None, 4)


class Characters(Letters):
    """A token for each of ASCII's characters."""

    vocab_size = 131

    def encode(self, text):
        return [3 + ord(character) for character in text]

    def decode(self, ids):
        return "".join(chr(token - 3) for token in ids if token > 2)


@pytest.fixture(scope="module")
def tiny():
    config = models.DecoderConfig(
        vocab_size=131, width=16, mlp_width=32, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=8, max_length=512
    )
    model = models.build(config)
    return model, jax.jit(model.init)(jax.random.key(1), jnp.zeros((1, 1), jnp.int32))["params"]


def test_a_model_in_this_process_keeps_to_its_budgets(tiny):
    write = planning.make_local_writer(*tiny, Characters(), num_slots=2, max_prompt_tokens=64)
    drafts = write(["ab", "cd"], budget=Budget(12, 8))
    # Random letters are no article: they end with the plan's budget.
    assert [draft.completion_tokens for draft in drafts] == [12, 12]
    begun = write(["ab", "cd", "ef"], budget=Budget(0, 8), prefix="<article>\n")
    assert all(draft.text.startswith("<article>\n") and draft.completion_tokens <= 8 for draft in begun)
    assert begun[0] == write(["ab"], budget=Budget(0, 8), prefix="<article>\n")[0]


def test_two_texts_of_one_length():
    long, short = "# Life\nOne two. Three four.\nFive six seven.", "a b c d e"
    assert planning.match_words(long, short) == ("# Life\nOne two.", short)
    assert planning.match_words(short, long) == (short, "# Life\nOne two.")
    assert planning.match_words("one two three four", "a b") == ("one two", "a b")
    assert planning.match_words("", "a b") == ("", "")
