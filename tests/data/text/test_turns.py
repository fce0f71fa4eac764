"""Responses as their chat template renders them, equal to what transformers renders and masks and TRL trains on.

For each style of template, with E the ids that transformers gives for the whole conversation:
  - prompt + response = E, for a reward model; for a policy too where the template has no generation tags;
  - without tags the response begins where TRL's completion does, after ``trl.data_utils.common_prefix_length`` ids;
  - with tags it is what ``return_assistant_tokens_mask`` marks in the last turn.
"""

import numpy as np
import pytest
import transformers
from trl.data_utils import common_prefix_length

from jaxalign import data
from jaxalign.data import PreferenceRecord
from jaxalign.data.text import turns
from tests.data import chat_styles

USER, LIMITS = {"role": "user", "content": "Is the moon  good?"}, {"max_prompt": 10_000, "max_response": 10_000}
CHATS = {
    "one turn": [USER],
    "several turns": [USER, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Why\n\n?"}],
    "system": [{"role": "system", "content": "Be brief."}, USER],
}
WITHOUT_SYSTEM = chat_styles.STYLES["Mistral"], chat_styles.STYLES["Gemma"]
ANSWERS = "good", "A long one.\n\nWith two parts", "<b>&amp; [INST]"


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """``load(style)``: our tokenizer, and transformers'."""
    loaded = {}

    def load(style):
        if style not in loaded:
            directory = chat_styles.save(style, tmp_path_factory.mktemp("style"))
            loaded[style] = data.load_tokenizer(directory), transformers.AutoTokenizer.from_pretrained(directory)
        return loaded[style]

    return load


def ids_of(theirs, chat, **options):
    return theirs.apply_chat_template(chat, return_dict=False, **options)


def said(answer):
    return {"role": "assistant", "content": answer}


@pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS)
@pytest.mark.parametrize("style", chat_styles.STYLES.values(), ids=chat_styles.STYLES)
def test_a_response_is_trls_completion(style, chat, load):
    ours, theirs = load(style)
    record = PreferenceRecord(chat, ANSWERS, (0.5,) * len(ANSWERS))
    if chat[0]["role"] == "system" and style in WITHOUT_SYSTEM:
        with pytest.raises(ValueError, match="record 0, counted from 0: the chat template failed"):
            data.encode_lists([record], ours, **LIMITS)
        return
    asked = ids_of(theirs, chat, add_generation_prompt=True)
    complete = [ids_of(theirs, [*chat, said(answer)]) for answer in ANSWERS]
    start = min(common_prefix_length(asked, ids) for ids in complete)
    for encode in data.encode_lists, data.encode_reward_lists:
        lists = encode([record], ours, **LIMITS)
        assert lists.prompt(0).tolist() == complete[0][:start]
        assert [lists.response(number).tolist() for number in range(3)] == [ids[start:] for ids in complete]
    assert data.encode_prompt(record, ours) == asked
    assert ours.end_ids == tuple(dict.fromkeys([ours.eos_id, theirs.convert_tokens_to_ids(style.turn_end)]))


@pytest.mark.parametrize("chat", [CHATS["one turn"], CHATS["several turns"]], ids=["one turn", "several turns"])
@pytest.mark.parametrize("style", chat_styles.MARKED.values(), ids=chat_styles.MARKED)
def test_a_policy_learns_what_generation_tags_mark(style, chat, load):
    ours, theirs = load(style)
    record = PreferenceRecord(chat, ANSWERS, (0.5,) * len(ANSWERS))
    written, read = (encode([record], ours, **LIMITS) for encode in (data.encode_lists, data.encode_reward_lists))
    for number, answer in enumerate(ANSWERS):
        conversation = [*chat, said(answer)]
        marked = theirs.apply_chat_template(conversation, return_assistant_tokens_mask=True, return_dict=True)
        ids, mask = marked["input_ids"], marked["assistant_masks"]
        stop = len(mask) - mask[::-1].index(1)
        start = stop - mask[:stop][::-1].index(0)
        assert written.response(number).tolist() == ids[start:stop]
        assert written.prompt(0).tolist() == ids[:start]
        assert [*read.prompt(0).tolist(), *read.response(number).tolist()] == ids


def test_thinking_belongs_to_the_answer(load):
    """Qwen 3 writes reasoning as a block of its own, and an empty one where there is none."""
    ours, theirs = load(chat_styles.STYLES["Qwen 3, thinking"])
    thought = {"role": "assistant", "content": "No.", "reasoning_content": "The moon is far."}
    lists = data.encode_lists([PreferenceRecord([USER], (thought, "Yes."), (0.0, 1.0))], ours, **LIMITS)
    for number, answer in enumerate((thought, said("Yes."))):
        whole = ids_of(theirs, [USER, answer])
        assert [*lists.prompt(0).tolist(), *lists.response(number).tolist()] == whole
    assert theirs.decode(lists.response(0)) == "<think>\nThe moon is far.\n</think>\n\nNo.<|im_end|>\n"
    assert theirs.decode(lists.response(1)) == "<think>\n\n</think>\n\nYes.<|im_end|>\n"


def test_tools_and_tool_calls_are_rendered(load):
    ours, theirs = load(chat_styles.STYLES["ChatML"])
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}
    record = PreferenceRecord([USER], (call, "3"), (1.0, 0.0), tools=(tool,))
    lists = data.encode_lists([record], ours, **LIMITS)
    for number, answer in enumerate((call, said("3"))):
        whole = ids_of(theirs, [USER, answer], tools=[tool])
        assert [*lists.prompt(0).tolist(), *lists.response(number).tolist()] == whole
    assert "add" in theirs.decode(lists.prompt(0)) and '"arguments": {"a": 1}' in theirs.decode(lists.response(0))


@pytest.mark.parametrize(
    ("chat", "answer", "tools", "message"),
    [
        ([USER], {"role": "assistant", "tool_calls": [{"name": "f"}]}, (), "knows nothing of tool_calls"),
        (
            [USER],
            {"role": "assistant", "content": "a", "reasoning_content": "b"},
            (),
            "knows nothing of reason",
        ),
        ([USER, {"role": "assistant", "content": "a", "thinking": "b"}, USER], "a", (), "knows nothing of thinking"),
        ([USER], "a", ({"name": "f"},), "knows nothing of tools"),
    ],
)
def test_a_template_that_would_lose_something_is_refused(chat, answer, tools, message, load):
    ours, _ = load(chat_styles.STYLES["Zephyr"])
    record = PreferenceRecord(chat, (answer,), (1.0,), tools=tools, id="x")
    with pytest.raises(ValueError, match=f"record 0, counted from 0, id 'x': the chat template {message}"):
        data.encode_lists([record], ours, **LIMITS)


@pytest.mark.parametrize(
    ("template", "left_out"),
    [
        ("{% for m in messages if m.role != 'system' %}{{ m.role + ':' + m.content + eos_token }}{% endfor %}", 0),
        ("{{ messages[0].content }}{{ messages[-1].content }}", 1),
        ("{% for m in messages %}{{ m.role + ':' + (m.content if m.role != 'user' else '') }}{% endfor %}", 2),
        ("{% for m in messages[:3] %}{{ m.content }}{% endfor %}", 3),
    ],
)
def test_a_template_that_leaves_a_turn_out_is_refused(template, left_out, load):
    ours, _ = load(chat_styles.STYLES["Zephyr"]._replace(template=template))
    chat = [{"role": "system", "content": "First."}, said("Second."), {"role": "user", "content": "Third?"}]
    with pytest.raises(ValueError, match=f"leaves out message {left_out}, of the role"):
        ours.encode_answered(chat, "Fourth!")


def test_tags_that_leave_holes_are_refused(load):
    content = "{{ m.role }}{% generation %}{{ m.content }}{% endgeneration %}"
    end = "-{% generation %}{{ eos_token }}{% endgeneration %}"
    template = "{% for m in messages %}" + content + end + "{% endfor %}"
    ours, _ = load(chat_styles.STYLES["Zephyr"]._replace(template=template))
    with pytest.raises(ValueError, match="marks one stretch of an answer as the assistant's, got 2"):
        data.encode_lists([PreferenceRecord([USER], ("a",), (1.0,))], ours, **LIMITS)


def test_texts_are_tokenised_as_they_stand(tokenizer):
    """Prompt and response together are the ids of the joined text; the prompt is what all of them begin with."""
    for prompt, answers in (("the number 4", ("2", " 2", "\n")), ("naïve\n", ("\n\nx", "Größe")), ("a", ("",))):
        record = PreferenceRecord(prompt, answers, (0.5,) * len(answers))
        lists = data.encode_lists([record], tokenizer, **LIMITS)
        start = [tokenizer.bos_id]
        for number, answer in enumerate(answers):
            expected = [*start, *tokenizer.encode(prompt + answer), tokenizer.eos_id]
            assert [*lists.prompt(0).tolist(), *lists.response(number).tolist()] == expected
        alone = [*start, *tokenizer.encode(prompt)]
        assert lists.prompt(0).tolist() == alone[: len(lists.prompt(0))]
        assert tokenizer.decode(np.concatenate([lists.prompt(0), lists.response(0)])) == prompt + answers[0]


def test_sentencepiece_writes_no_space_before_an_answer(space_first):
    """A space is put where a text begins, and so it would be before an answer that is encoded by itself."""
    ours, theirs = data.load_tokenizer(space_first), transformers.AutoTokenizer.from_pretrained(space_first)
    records = [PreferenceRecord("naïve", ("don't",), (1.0,)), PreferenceRecord([USER], ("don't",), (1.0,))]
    lists = data.encode_lists(records, ours, **LIMITS)
    text, chat = ([*lists.prompt(number).tolist(), *lists.response(number).tolist()] for number in range(2))
    assert text == [*theirs("naïvedon't").input_ids, ours.eos_id]
    assert chat == ids_of(theirs, [USER, said("don't")])
    apart = ours.encode("don't")
    assert theirs.convert_ids_to_tokens(apart)[0].startswith("▁")
    assert chat[len(lists.prompt(1)) :][: len(apart)] != apart


def test_an_answers_own_space_is_not_lost(space_first, tokenizer):
    """Prompt and text of the answer together are what the tokens of both say, wherever a space stands."""
    for ours in data.load_tokenizer(space_first), tokenizer:
        for prompt, answer in (("the naïve", " don't"), ("the naïve", "don't"), ("naïve \n", "x=1;"), ("a", "")):
            whole = ours.encode(prompt + answer)
            start = len(ours.encode(prompt))
            if whole[:start] != ours.encode(prompt):
                continue  # joined at the border: no sampler writes these
            text = turns.space_before(whole[:start], whole[start:], ours) + ours.decode(whole[start:])
            assert (prompt + text).strip() == (prompt + answer).strip()
    ours = data.load_tokenizer(space_first)
    behind = ours.encode("the naïve don't")[len(ours.encode("the naïve")) :]
    assert (ours.decode(behind), turns.space_before(ours.encode("the naïve"), behind, ours)) == ("don't", " ")


def test_tokens_that_are_at_hand_stay(tokenizer):
    prompt, own = "the number ", [7, 8, 7, 9, tokenizer.eos_id]
    record = PreferenceRecord(prompt, ("whatever it says", "two"), (0.5, 0.5), tokens=(own, None))
    lists = data.encode_lists([record], tokenizer, **LIMITS)
    alone = data.encode_prompt(record, tokenizer)
    assert [*lists.prompt(0).tolist(), *lists.response(0).tolist()] == [*alone, *own]
    assert lists.response(1)[-1] == tokenizer.eos_id
    asked = data.encode_lists([record.unanswered()], tokenizer, **LIMITS)
    assert asked.prompt(0).tolist() == alone and len(asked.response(0)) == 0


def test_a_prompt_is_sampled_from_as_the_template_asks(load):
    """DeepSeek R1 opens a thought in the prompt that no rendered answer has; a sampler begins inside it."""
    ours, theirs = load(chat_styles.STYLES["DeepSeek R1"])
    record = PreferenceRecord([USER], ("No.",), (1.0,))
    asked = data.encode_lists([record.unanswered()], ours, **LIMITS).prompt(0)
    assert theirs.decode(asked).endswith("<｜Assistant｜><think>\n")
    learnt = data.encode_lists([record], ours, **LIMITS)
    assert theirs.decode(learnt.prompt(0)).endswith("<｜Assistant｜>")
    assert theirs.decode(learnt.response(0)) == "No.<｜end▁of▁sentence｜>"


def test_no_token_of_the_prompt_left_is_an_error(byte_level):
    backend, config = byte_level
    ours = data.HfTokenizer(backend, config | {"add_bos_token": False})
    with pytest.raises(ValueError, match="an empty prompt needs a tokenizer with a beginning-of-sequence token"):
        data.encode_lists([PreferenceRecord("", ("a",), (1.0,))], ours, **LIMITS)


@pytest.mark.parametrize("name", ["ChatML", "Gemma", "Llama 2"])
def test_an_option_with_its_end_is_the_assistants_turn(name, load):
    ours, theirs = load(chat_styles.STYLES[name])
    encoded = data.encode_options([USER], ("Yes.", "No."), ours, ended=True)
    assert [[*encoded.prompt, *option] for option in encoded.options] == [
        ids_of(theirs, [USER, said(option)]) for option in ("Yes.", "No.")
    ]


def test_an_option_without_its_end_leaves_open_what_follows(load):
    ours, _ = load(chat_styles.STYLES["ChatML"])
    closed, open_ended = (data.encode_options([USER], ("Yes.", "No."), ours, ended=ended) for ended in (True, False))
    for option, ended in zip(open_ended.options, closed.options, strict=True):
        assert ended[: len(option)] == option and len(ended) > len(option)
