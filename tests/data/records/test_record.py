import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from jaxalign import data, losses


def test_record_of_lists_becomes_a_record_of_tuples():
    record = data.PreferenceRecord("p", ["a", ""], [1, np.float32(0.5)], source="s", id="7")
    assert record == data.PreferenceRecord("p", ("a", ""), (1, 0.5), "s", "7")


def test_chat_keeps_what_a_template_may_write():
    """Metadata and fields without a value go; text parts become one text; nothing inside a tool call is empty."""
    call = {"function": {"name": "add", "arguments": {"a": 1, "b": None}}, "id": None}
    chat = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "1 "}, {"type": "text", "text": "+ 1?"}],
            "language": "en",
        },
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "", "weight": 1},
        {"role": "tool", "content": "2", "name": "add", "tool_call_id": "7"},
    ]
    record = data.PreferenceRecord(chat, ("a",), (1.0,))
    assert record.prompt == (
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]},
        {"role": "tool", "content": "2", "name": "add", "tool_call_id": "7"},
    )


def test_an_answer_is_a_text_unless_it_says_more():
    chat, call = (
        [{"role": "user", "content": "hi"}],
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]},
    )
    record = data.PreferenceRecord(chat, ({"role": "assistant", "content": "a"}, call), (1.0, 0.0))
    assert record.responses == ("a", call)
    assert data.answer_text("a") == "a"
    with pytest.raises(ValueError, match="expected texts here, got a message with tool_calls; only chats can show it"):
        data.answer_text(record.responses[1])
    with pytest.raises(ValueError, match="prompt: tools and tool calls belong to a chat, got a text"):
        data.PreferenceRecord("hi", (call,), (1.0,))
    with pytest.raises(ValueError, match="prompt: tools and tool calls belong to a chat, got a text"):
        data.PreferenceRecord("hi", ("a",), (1.0,), tools=({"name": "f"},))


@pytest.mark.parametrize(
    "message, error",
    [
        ({"role": "user", "content": [{"type": "image", "url": "x"}]}, "message 0: expected a content of texts, got"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "message 0: expected a content of texts, got"),
        ({"role": "assistant", "content": None}, "message 0: expected messages with texts for role and content"),
        (
            {"role": "assistant", "content": "a", "refusal": "no"},
            "message 0: refusal is 'no', which cannot be rendered",
        ),
        ({"role": "assistant", "content": "a", "weight": 0}, "message 0: weight is 0, which cannot be rendered"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "message 0: function_call is"),
        ({"from": "human", "value": "hi"}, "message 0: expected messages with texts for role and content"),
    ],
)
def test_what_cannot_be_rendered_is_refused(message, error):
    with pytest.raises(ValueError, match=f"prompt, {error}"):
        data.PreferenceRecord([message], ("a",), (1.0,))


def test_tokens_belong_to_responses():
    record = data.PreferenceRecord("p", ("a", "b"), (0.1, 0.9), tokens=((1, 2), None))
    assert record.best().tokens == (None,)
    assert record.unanswered().tokens == ((),) and record.unanswered().responses == ("",)
    with pytest.raises(ValueError, match="tokens: expected 2, one for each response, or none, got 1"):
        data.PreferenceRecord("p", ("a", "b"), (0.1, 0.9), tokens=((1, 2),))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((5, ("a",), (1.0,)), "prompt: expected a text or a list"),
        ((None, ("a",), (1.0,)), "prompt: expected a text or a list"),
        (([], ("a",), (1.0,)), "prompt: expected a text or a list of at least one"),
        (([{"role": "user"}], ("a",), (1.0,)), "prompt, message 0: expected messages with texts for role and content"),
        (("p", (), ()), "responses: expected at least one"),
        (("p", ("a", None), (1.0, 0.0)), "responses, index 1: expected a text or a message of the assistant, got None"),
        (("p", ("a", "b"), (1.0,)), "labels: expected 2, one for each response, got 1"),
        (("p", ("a", "b"), (0.5, 1.5)), "labels: expected numbers in .0, 1., got 1.5 at index 1; rescale"),
        (("p", ("a",), (float("nan"),)), "labels: .* got nan"),
        (("p", ("a",), ("0.5",)), "labels: .* got '0.5'"),
        (("p", ("a",), (None,)), "labels: .* got None"),
    ],
)
def test_a_bad_value_is_named_with_its_field(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.PreferenceRecord(*arguments)


def test_labels_from_ranks_by_hand():
    # Psi, rows beat columns, best to worst: [.5 1 1], [0 .5 1], [0 0 .5]; row means 2.5/3, 1.5/3, 0.5/3.
    np.testing.assert_allclose(data.labels_from_ranks([1, 2, 3]), [2.5 / 3, 1.5 / 3, 0.5 / 3])
    # Two share the first place: each .5 against itself and the other, 1 against the last.
    np.testing.assert_allclose(data.labels_from_ranks([1, 1, 5]), [2 / 3, 2 / 3, 0.5 / 3])


def test_labels_from_ranks_equal_those_of_the_losses():
    ranks = np.random.default_rng(0).integers(1, 6, size=9)
    expected = losses.labels_from_ranks(jnp.array(ranks))
    np.testing.assert_allclose(data.labels_from_ranks(ranks.tolist()), expected, rtol=1e-6)


def test_pair_is_a_ranking_of_two():
    record = data.PreferenceRecord.from_pair("p", "good", "bad", source="s")
    assert record == data.PreferenceRecord("p", ("good", "bad"), (0.75, 0.25), source="s")


def test_ranks_must_be_numbers():
    with pytest.raises(ValueError, match="ranks: expected numbers, got None at index 1"):
        data.PreferenceRecord.from_ranks("p", ("a", "b"), (1, None))


def test_best_responses_come_best_first():
    record = data.PreferenceRecord("p", ("a", "b", "c", "d"), (0.1, 0.9, 0.4, 0.9))
    assert record.best().responses == ("b",)
    assert record.best(3) == data.PreferenceRecord("p", ("b", "d", "c"), (0.9, 0.9, 0.4))


def test_importing_data_loads_no_optional_library():
    program = """
import sys
from jaxalign import data
assert "list_batches" in dir(data)
heavy = {"grain", "pyarrow", "tensorflow_datasets", "sentencepiece", "tokenizers", "jinja2", "jax"} & set(sys.modules)
assert not heavy, heavy
data.PreferenceRecord("p", ("a",), (1.0,))
assert "jax" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_public_name_exists():
    assert all(getattr(data, name) is not None for name in data.__all__)
    with pytest.raises(AttributeError, match="No jaxalign.data attribute nothing"):
        _ = data.nothing
