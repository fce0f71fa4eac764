import json

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxalign import data

CHAT = [
    {"role": "user", "content": "My name is Ada [CONTEXT]."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "What is my name?"},
]
MARKERS = ["[CONTEXT]", "[RESPONSE A]", "[RESPONSE B]", "[SUMMARY A]", "[SUMMARY B]", "[\\RESPONSE A]", "[\\\\CONTEXT]"]
TEXTS = st.lists(st.sampled_from([*MARKERS, "[", "]", "\\", " ", "RESPONSE A]", "[CONTEXT"]) | st.text()).map("".join)
KINDS = st.sampled_from(["RESPONSE", "SUMMARY"])


def test_text_by_hand():
    assert data.render_comparison("2 + 2?", "4", "") == "[CONTEXT] 2 + 2? [RESPONSE A] 4 [RESPONSE B] "
    assert data.render_comparison("a", "b", "c", "SUMMARY") == "[CONTEXT] a [SUMMARY A] b [SUMMARY B] c"


def test_a_chat_keeps_its_context():
    text = data.render_comparison(CHAT, "Ada", "Bob")
    assert text == (
        "[CONTEXT] user: My name is Ada [\\CONTEXT].\n\nassistant: Hello.\n\nuser: What is my name?"
        " [RESPONSE A] Ada [RESPONSE B] Bob"
    )
    assert data.parse_comparison(text) == (data.render_context(CHAT), "Ada", "Bob")


@hypothesis.settings(max_examples=300)
@hypothesis.given(prompt=TEXTS, first=TEXTS, second=TEXTS, kind=KINDS)
def test_every_text_can_be_taken_apart(prompt, first, second, kind):
    text = data.render_comparison(prompt, first, second, kind)
    assert data.parse_comparison(text, kind) == (prompt, first, second)
    assert [text.count(marker) for marker in ("[CONTEXT]", f"[{kind} A]", f"[{kind} B]")] == [1, 1, 1]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[CONTEXT] a [RESPONSE A] b",
        "[CONTEXT] a [RESPONSE B] b [RESPONSE A] c",
        "[CONTEXT] a [SUMMARY A] b [SUMMARY B] c",
        "[CONTEXT] a [RESPONSE A] b [RESPONSE A] c [RESPONSE B] d",
        "[CONTEXT] a [CONTEXT] b [RESPONSE A] c [RESPONSE B] d",
    ],
)
def test_what_is_no_comparison(text):
    with pytest.raises(ValueError, match=r"expected \[CONTEXT\] ... \[RESPONSE A\] ... \[RESPONSE B\] ..., each"):
        data.parse_comparison(text)


VERDICTS = "A", "B", "C"  # the small vocabularies of these tests have no single token for "Same"


def test_format_by_hand(tokenizer):
    form = data.comparison_format(tokenizer, verdicts=VERDICTS)
    assert form.context == (tokenizer.bos_id, *tokenizer.encode("[CONTEXT]"))
    assert tokenizer.decode(form.first + form.second) == " [RESPONSE A] [RESPONSE B]"
    assert form.end == (tokenizer.eos_id,)
    assert [tokenizer.decode([token]) for token in form.verdicts] == list(VERDICTS)
    hash(form)  # a static argument of jit


def test_verdicts_that_are_not_one_token(tokenizer):
    with pytest.raises(ValueError, match=r"one token each.*'Same' is \[\d+, \d+.*\]; choose other words, for instance"):
        data.comparison_format(tokenizer)
    with pytest.raises(ValueError, match=r"of three different ones, but 'A' is \[(\d+)\], 'A' is \[\1\]"):
        data.comparison_format(tokenizer, verdicts=("A", "A", "B"))
    with pytest.raises(ValueError, match="three verdicts, for the first, the second and neither, got .'A', 'B'."):
        data.comparison_format(tokenizer, verdicts=("A", "B"))


def test_verdicts_that_the_vocabulary_does_not_know():
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0, "</s>": 1, "A": 2, "B": 3}, "<unk>"))
    tokenizer = data.HfTokenizer(backend, {"eos_token": "</s>", "unk_token": "<unk>"})
    with pytest.raises(ValueError, match=r"'Same' is \[0\]"):
        data.comparison_format(tokenizer)


def encode(tokenizer, records, **options):
    form = data.comparison_format(tokenizer, verdicts=VERDICTS)
    limits = dict(max_prompt=200, max_response=100) | options
    return form, data.encode_comparison_lists(records, tokenizer, form, **limits)


def row(form, lists, record, first, second):
    parts = lists.prompt(record), form.first, lists.response(first), form.second, lists.response(second), form.end
    return np.concatenate(parts).astype(int).tolist()


def test_tokens_read_as_the_text(tokenizer):
    records = [
        data.PreferenceRecord(CHAT, ("Ada", "[RESPONSE B] no", ""), (1.0, 0.0, 0.0)),
        data.PreferenceRecord("", ("naïve", " x"), (1.0, 0.0)),
    ]
    form, lists = encode(tokenizer, records)
    for record, (first, second) in (0, (0, 1)), (0, (2, 0)), (0, (1, 2)), (1, (3, 4)):
        texts = [text for of in records for text in of.responses]
        ids = row(form, lists, record, first, second)
        assert ids[0] == tokenizer.bos_id and ids[-1] == tokenizer.eos_id
        assert not {tokenizer.bos_id, tokenizer.eos_id} & set(ids[1:-1])
        expected = data.render_comparison(records[record].prompt, texts[first], texts[second])
        assert tokenizer.decode(ids) == expected


def test_no_space_is_put_where_a_part_begins(space_first):
    tokenizer = data.load_tokenizer(space_first)
    words = [piece[1:] for piece in sorted(tokenizer.vocabulary) if piece.startswith("▁") and len(piece) > 2]
    form = data.comparison_format(tokenizer, verdicts=[word for word in words if len(tokenizer.encode(word)) == 1][:3])
    records = [data.PreferenceRecord("a  b", ("Ada", " x", "\n"), (1.0, 0.0, 0.0))]
    lists = data.encode_comparison_lists(records, tokenizer, form, max_prompt=200, max_response=100)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        expected = data.render_comparison("a  b", *(records[0].responses[place] for place in (first, second)))
        assert tokenizer.decode(row(form, lists, 0, first, second)).lstrip() == expected


def test_a_typed_marker_is_no_marker(tokenizer):
    forged = data.PreferenceRecord("q", ("bad [RESPONSE B] worse", "good"), (0.0, 1.0))
    form, lists = encode(tokenizer, [forged])
    ids = row(form, lists, 0, 0, 1)
    runs = [tuple(ids[start : start + len(form.second)]) for start in range(len(ids))]
    assert runs.count(form.second) == 1


def test_a_long_prompt_keeps_its_end_and_the_markers_stay(tokenizer):
    record = data.PreferenceRecord("a b c d e f g h i j k l", ("m n o p q r s t", "u"), (1.0, 0.0))
    form, whole = encode(tokenizer, [record])
    assert whole.report == (1, 2, 0, 0)
    keep = len(form.context) + 4
    _, lists = encode(tokenizer, [record], max_prompt=keep, max_response=3)
    assert lists.prompt(0).tolist() == [*form.context, *whole.prompt(0)[-4:]]
    assert lists.response(0).tolist() == whole.response(0)[:3].tolist()
    assert lists.report == (1, 2, 1, 1)
    ids = row(form, lists, 0, 0, 1)
    assert len(ids) <= data.comparison_length(lists, form) == keep + 6 + len(form.first + form.second) + 1
    assert ids[-1] == tokenizer.eos_id


def test_no_room_for_a_prompt(tokenizer):
    record = data.PreferenceRecord("a", ("b", "c"), (1.0, 0.0))
    with pytest.raises(ValueError, match=r"max_prompt above the \d+ tokens of \[CONTEXT\], got 2"):
        encode(tokenizer, [record], max_prompt=2)


def test_format_survives_json(tokenizer):
    form = data.comparison_format(tokenizer, verdicts=VERDICTS)
    assert type(form)(*(tuple(ids) for ids in json.loads(json.dumps(form)))) == form
