"""Chat templates as real models have them, each with a byte-level tokenizer that knows its control tokens.

Those that TRL ships are read from its package; the others are written here after the formats that the model cards give.
"""

import functools
import json
import pathlib
from typing import NamedTuple

import tokenizers
import trl
from tokenizers import decoders, models, pre_tokenizers


class Style(NamedTuple):
    """Jinja source, the control tokens that it writes, the one that ends a text, and the one that ends a turn."""

    template: str
    special: tuple[str, ...]
    eos: str
    turn_end: str


def of_trl(name: str) -> str:
    return (pathlib.Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()


CHATML = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
LLAMA_3 = "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|end_of_text|>"
PHI = "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"
GEMMA = "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"
LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}{% for m in messages %}"
    "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content.strip() }} [/INST]"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + m.content + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
ZEPHYR = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
    "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{% endfor %}"
)
STYLES = {
    "ChatML": Style(of_trl("qwen2_5"), CHATML, "<|im_end|>", "<|im_end|>"),
    "Llama 2": Style(LLAMA_2, ("<s>", "</s>"), "</s>", "</s>"),
    "Llama 3": Style(of_trl("llama3"), LLAMA_3, "<|end_of_text|>", "<|eot_id|>"),
    "Gemma": Style(of_trl("gemma"), GEMMA, "<eos>", "<end_of_turn>"),
    "Mistral": Style(MISTRAL, ("<s>", "</s>"), "</s>", "</s>"),
    "Qwen 3, thinking": Style(of_trl("qwen3"), CHATML, "<|im_end|>", "<|im_end|>"),
    "Zephyr": Style(ZEPHYR, ("<s>", "</s>"), "</s>", "</s>"),
    "Phi": Style(of_trl("phi3"), PHI, "<|endoftext|>", "<|end|>"),
    "DeepSeek R1": Style(
        of_trl("deepseek_r1_distill"),
        ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"),
        "<｜end▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
    ),
}
MARKED = {  # with generation tags
    "ChatML": Style(of_trl("qwen2_5_training"), CHATML, "<|im_end|>", "<|im_end|>"),
    "Llama 3": Style(of_trl("llama3_training"), LLAMA_3, "<|end_of_text|>", "<|eot_id|>"),
    "Gemma": Style(of_trl("gemma_training"), GEMMA, "<eos>", "<end_of_turn>"),
    "Qwen 3, thinking": Style(of_trl("qwen3_training"), CHATML, "<|im_end|>", "<|im_end|>"),
    "Phi": STYLES["Phi"]._replace(template=of_trl("phi3_training")),
    "DeepSeek R1": STYLES["DeepSeek R1"]._replace(template=of_trl("deepseek_r1_distill_training")),
}


@functools.cache
def backend(special: tuple[str, ...]) -> str:
    """Byte-level BPE with a few merges, one of them of two ends of lines, as many real tokenizers have."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ċ", "Ċ"), ("Ġ", "t"), ("o", "o"), ("oo", "d")]
    words = [*special, *alphabet, *("".join(pair) for pair in merges)]
    made = tokenizers.Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in special])
    return made.to_str()


def save(style: Style, directory: pathlib.Path) -> pathlib.Path:
    """Writes the tokenizer's files; the first control token begins a sequence."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tokenizer.json").write_text(backend(style.special))
    names = {"bos_token": style.special[0], "eos_token": style.eos, "pad_token": style.eos, "add_bos_token": False}
    config = {**names, "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": style.template}
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory
