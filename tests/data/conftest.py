import json

import pytest

from jaxalign import data
from tests.data import chat_styles
from tests.letters import Letters

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def letters():
    return Letters()


@pytest.fixture(scope="session")
def english():
    """Made-up sentences with all that tokenizers stumble on: digits, runs of spaces, line ends, accents."""
    import random

    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 8))) for _ in range(400)]
    words += ["Größe", "naïve", "x=1;", "  indented", "2024", "\n", "don't", "漢字"]
    return [" ".join(rng.choices(words, k=rng.randint(1, 40))) for _ in range(600)]


@pytest.fixture(scope="session")
def spm_paths(english, tmp_path_factory):
    directory = tmp_path_factory.mktemp("spm")
    options = dict(vocab_size=500, control_tokens=("<|im_start|>", "<|im_end|>"))
    for model_type in "unigram", "bpe":
        data.train_sentencepiece(english, directory / model_type, model_type=model_type, **options)
    return directory


@pytest.fixture(params=["unigram", "bpe"])
def spm_path(request, spm_paths):
    return spm_paths / request.param


@pytest.fixture(scope="session")
def byte_level(english):
    """A byte-level BPE as Llama 3 and Qwen have, with its tokenizer_config.json; the beginning token is prepended."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, processors, trainers

    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(english, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return backend, {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "tokenizer_class": "PreTrainedTokenizerFast"}


@pytest.fixture(scope="session")
def space_first(spm_paths, tmp_path_factory):
    """A tokenizer in Llama's way: a space is put where a text begins, and taken away again; with Zephyr's template."""
    directory = tmp_path_factory.mktemp("space-first")
    data.load_sentencepiece(spm_paths / "bpe", chat_template=chat_styles.ZEPHYR).save(directory)
    state = json.loads((directory / "tokenizer.json").read_text())
    state["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    state["decoder"] = {"type": "Sequence", "decoders": [state["decoder"], strip]}
    (directory / "tokenizer.json").write_text(json.dumps(state))
    return directory


@pytest.fixture(params=["unigram", "bpe", "byte level"])
def tokenizer(request, spm_paths, byte_level):
    """A tokenizer of each kind, with a chat template."""
    if request.param == "byte level":
        return data.HfTokenizer(*byte_level, chat_template=CHATML)
    return data.load_sentencepiece(spm_paths / request.param, chat_template=CHATML)
