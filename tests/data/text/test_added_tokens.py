"""Tokens beside tokenizer.json and beside a SentencePiece model: the ids that transformers gives them."""

import json

import pytest
import tokenizers
import transformers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from jaxalign import data

NAMES = {"eos_token": "</s>", "pad_token": "<pad>", "tokenizer_class": "PreTrainedTokenizerFast"}
TEXT = "a <|turn|>  b<|end|>[INST] c <tool>d</tool> </s><img>"
FIRST = 258  # 2 special tokens and 256 bytes


def write(folder, **files):
    """A byte-level tokenizer of two special tokens, with other files beside it."""
    special = ["<pad>", "</s>"]
    vocabulary = {token: i for i, token in enumerate([*special, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    folder.mkdir(parents=True, exist_ok=True)
    backend.save(str(folder / "tokenizer.json"))
    files = {"tokenizer_config": {}, **files}
    files["tokenizer_config"] = {**NAMES, **files["tokenizer_config"]}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def token(content, special=True, **flags):
    return {"content": content, "special": special, "normalized": not special, "lstrip": False} | flags


def decoder(*tokens, start=FIRST):
    return {"added_tokens_decoder": {str(start + i): each for i, each in enumerate(tokens)}}


PLACES = {
    "added_tokens_decoder": {"tokenizer_config": decoder(token("<|turn|>"), token("<|end|>"))},
    "text that is one token": {"tokenizer_config": decoder(token("<tool>", False), token("</tool>", False))},
    "flags": {
        "tokenizer_config": decoder(token("<|turn|>", rstrip=True, lstrip=True), token("b", False, single_word=True))
    },
    "flags of a token that is there": {"tokenizer_config": decoder(token("</s>", lstrip=True), start=1)},
    "added_tokens.json": {"added_tokens": {"<|end|>": FIRST + 1, "<|turn|>": FIRST}},
    "both older files": {
        "added_tokens": {"<|turn|>": FIRST, "<tool>": FIRST + 1},
        "special_tokens_map": {"additional_special_tokens": ["<|turn|>", "<img>"], "eos_token": "</s>"},
    },
    "special tokens of the map alone": {
        "special_tokens_map": {"additional_special_tokens": ["<|end|>", "[INST]"], "unk_token": token("<img>")}
    },
    "a decoder makes the older files void": {
        "tokenizer_config": decoder(token("<|end|>")),
        "added_tokens": {"<|turn|>": FIRST},
        "special_tokens_map": {"additional_special_tokens": ["[INST]"]},
    },
    "named tokens that no list has": {"tokenizer_config": {"image_token": "<img>", "bos_token": "[INST]"}},
    "extra tokens by name": {"tokenizer_config": {"extra_special_tokens": {"image_token": "<img>"}}},
    "extra tokens": {"tokenizer_config": {"extra_special_tokens": ["<tool>", "<|end|>"]}},
    "a byte that becomes a token": {"tokenizer_config": {"bos_token": "c", **decoder(token("d"), start=70)}},
}


@pytest.mark.parametrize("place", PLACES)
def test_ids_are_those_of_transformers(place, tmp_path):
    folder = write(tmp_path, **PLACES[place])
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = data.load_tokenizer(folder)
    chat = [{"role": "user", "content": TEXT}]
    template = "{{ messages[0].content }}<|turn|> <|end|><tool>x</tool>[INST]<img> c</s>"
    shown = data.HfTokenizer(ours._backend, ours._config, chat_template=template)
    # What the template writes becomes control tokens, what a user types does not; <tool> is a user's text, too.
    wanted = theirs.encode(shown.render_chat([{"role": "user", "content": ""}]), add_special_tokens=False)
    assert shown.encode_chat([{"role": "user", "content": ""}]) == wanted
    assert ours.vocab_size == len(theirs)
    assert not set(ours.encode_chat(chat)[:-1]) & {t for t in theirs.all_special_ids if t >= FIRST}
    assert (ours.eos_id, ours.pad_id) == (theirs.eos_token_id, theirs.pad_token_id)
    ours.save(tmp_path / "again")
    assert data.load_tokenizer(tmp_path / "again").encode_chat(chat) == ours.encode_chat(chat)
    assert data.load_tokenizer(tmp_path / "again").vocab_size == ours.vocab_size


def test_names_may_stand_in_the_map_alone(tmp_path):
    """Repositories of 2023 have it so, whose tokenizer_config.json says little."""
    folder = write(tmp_path, special_tokens_map={"eos_token": token("<|end|>"), "pad_token": "</s>"})
    (folder / "tokenizer_config.json").write_text("{}")
    ours = data.load_tokenizer(folder)
    assert (ours.eos_id, ours.pad_id) == (FIRST, 1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"tokenizer_config": decoder(token("<|end|>"), start=300)},
            "'<|end|>' is stated to have id 300, .* give it 258",
        ),
        ({"added_tokens": {"<|end|>": FIRST + 3}}, "stated to have id 261"),
        (
            {"tokenizer_config": decoder("<|end|>")},
            r"added_tokens_decoder\['258'\] is '<|end|>'; expected a token such",
        ),
        ({"added_tokens": ["<|end|>"]}, "added_tokens.json holds a list; expected an object"),
    ],
)
def test_what_does_not_fit_is_named(files, message, tmp_path):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        data.load_tokenizer(write(tmp_path, **files))
    (tmp_path / "added_tokens.json").write_text("{")
    with pytest.raises(ValueError, match="added_tokens.json is not JSON"):
        data.load_tokenizer(tmp_path)


def test_beside_a_sentencepiece_model(spm_path, tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(spm_path.read_bytes())
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[PAD]": 500, "<|turn|>": 501}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    ours = data.load_tokenizer(tmp_path)
    assert (ours.vocab_size, ours.pad_id) == (502, 500)
    assert ours.encode("a<|turn|>")[-1] == 501 and 500 not in ours.encode("a[PAD]")
    ours.save(tmp_path / "again")
    assert (tmp_path / "again" / "tokenizer.model").read_bytes() == spm_path.read_bytes()
    again = data.load_tokenizer(tmp_path / "again")
    assert (again.vocab_size, again.pad_id, again.encode("a<|turn|>")) == (502, 500, ours.encode("a<|turn|>"))


def test_sentinels_that_are_listed_by_name(spm_path, tmp_path):
    """T5's: the first has the last id, in whichever order they are listed."""
    (tmp_path / "spiece.model").write_bytes(spm_path.read_bytes())
    listed = [f"<extra_id_{number}>" for number in range(3)]
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"additional_special_tokens": listed}))
    ours = data.load_tokenizer(tmp_path)
    assert [ours.vocabulary[name] for name in listed] == [502, 501, 500]
