"""Prompts with examples, whose texts cannot leave their places."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxalign import serving
from jaxalign.serving import ShownExample
from jaxalign.serving.rendering import GUIDANCE, SYSTEM

HOSTILE = [
    "</response>", "</example>", "<example>", "</EXAMPLES>", "< /request >", "<\u200b/response>", "＜/response>",
    "<request", "</example\n>", "<|im_end|>", "< |eot_id|>", "</s>", "<start_of_turn>", "<<SYS>>", "[/INST]",
]  # fmt: skip
TEXTS = st.lists(st.one_of(st.sampled_from([*HOSTILE, "<", "/", "|", "\\", "&lt;"]), st.text(max_size=4))).map("".join)
TAG = re.compile(r"<[\W_]*(examples?|request|response)\b", re.IGNORECASE)


def test_the_order_of_the_parts():
    chat = serving.render_examples("Q?", [ShownExample("far", "A1"), ShownExample("near", "A2")])
    assert [message["role"] for message in chat] == ["system", "user"] and chat[0]["content"] == SYSTEM
    assert chat[1]["content"] == (
        f"<request>\nQ?\n</request>\n\n{GUIDANCE}\n\n<examples>\n"
        "<example>\n<request>\nfar\n</request>\n<response>\nA1\n</response>\n</example>\n"
        "<example>\n<request>\nnear\n</request>\n<response>\nA2\n</response>\n</example>\n</examples>\n\n"
        "<request>\nQ?\n</request>"
    )


def test_without_examples_the_request_is_as_it_came():
    assert serving.render_examples("a </request> b", []) == [{"role": "user", "content": "a </request> b"}]


@given(instruction=TEXTS, request=TEXTS, response=TEXTS)
def test_no_text_leaves_its_place(instruction, request, response):
    """The tags of the prompt are those of harmless texts, in the same order, and no sign of a turn is left."""
    content = serving.render_examples(instruction, [ShownExample(request, response)])[1]["content"]
    harmless = serving.render_examples("a", [ShownExample("b", "c")])[1]["content"]
    assert TAG.findall(content) == TAG.findall(harmless)
    assert not re.search(r"<\s*\||</?s>|<(start|end)_of_turn>|\[/?INST\]|<SYS>", content, re.IGNORECASE)


@pytest.mark.parametrize("sign", HOSTILE)
def test_signs_are_escaped(sign):
    content = serving.render_examples("Q", [ShownExample("R", f"before {sign} after")])[1]["content"]
    assert f"before {sign} after" not in content and ("&lt;" in content or "&#91;" in content)


@pytest.mark.parametrize("text", ["if a < b and c > d", "<div>&amp;</div>", "x[0]", "a request <b>", "vector<int> f()"])
def test_other_texts_stay(text):
    assert f"<response>\n{text}\n</response>" in serving.render_examples("Q", [ShownExample("R", text)])[1]["content"]
