"""The client against ``transformers serve``, a real OpenAI-compatible server, with a tiny random chat model."""

import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import tokenizers
import torch
import transformers

from jaxalign.io import llm

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_model(directory):
    """A byte-level tokenizer without merges, and a Llama of two layers with weights large enough to have opinions."""
    special = ["<pad>", "<|im_start|>", "<|im_end|>"]
    names = [*special, *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    core = tokenizers.Tokenizer(tokenizers.models.BPE({name: n for n, name in enumerate(names)}, []))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"]
    )
    tokenizer.chat_template = CHATML
    config = transformers.LlamaConfig(
        vocab_size=len(names),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.5,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The server's URL, and its model and tokenizer in this process."""
    directory = tmp_path_factory.mktemp("model")
    model, tokenizer = save_model(directory)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", str(directory), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    log = directory / "serve.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1", str(directory), model, tokenizer
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url, process, log, seconds=180):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with opener.open(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not start in {seconds} s: {log.read_text()}")


def greedy(model, tokenizer, text, count):
    """The text that transformers generates in this process, and the numbers of tokens of prompt and answer."""
    chat = [{"role": "user", "content": text}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        tokens = model.generate(**inputs, max_new_tokens=count, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(tokens, skip_special_tokens=True), inputs["input_ids"].shape[1], len(tokens)


def test_greedy_answers_are_those_of_transformers(served, tmp_path, monkeypatch):
    url, name, model, tokenizer = served
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = llm.Client(url, name, key_variable="UNSET_KEY", timeout=60.0, max_retries=0)
    prompts = ["Why?", "Say something else.", "naïve 漢字"]
    asked = [llm.Request(prompt, temperature=0.0, max_tokens=12) for prompt in prompts]
    cache = llm.Cache(tmp_path / "cache.jsonl")
    run = llm.complete(client, asked, cache=cache, concurrency=2, show=False)
    expected = [greedy(model, tokenizer, prompt, 12) for prompt in prompts]
    assert len({text for text, _, _ in expected}) == 3
    assert [(answer.text, answer.prompt_tokens, answer.completion_tokens) for answer in run.answers] == expected
    assert run.answers[0].finish == ("length",) and run.paid.completion_tokens == 36
    assert llm.replay(name, asked, cache=cache) == [answer._replace(cached=True) for answer in run.answers]

    with pytest.raises(llm.RequestError, match="status 400, Server is pinned to .*; requested 'other'"):
        llm.complete(llm.Client(url, "other"), asked, cache=cache, show=False)
    with pytest.raises(llm.RequestError, match="asked for n=2 answers, got 1"):
        llm.complete(client, [llm.Request("Why?", max_tokens=2, n=2)], cache=cache, show=False)


def test_options_of_a_server_without_log_probabilities(served, tmp_path, monkeypatch, capsys):
    """It takes ``echo`` and ``logprobs`` without a word and gives neither: that is seen, and answers are counted."""
    url, name, *_ = served
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = llm.Client(url, name, key_variable="UNSET_KEY", timeout=60.0, max_retries=0)
    service = llm.service.asking(client, llm.Cache(tmp_path / "cache.jsonl"), show=False)
    ((first, second),) = llm.options.make_score_options(service)(["Why? Answer:"], [(" t", " x")])
    told = [line.removeprefix(f"{name}: options are scored ") for line in capsys.readouterr().err.splitlines()]
    assert [line.partition(" (")[0] for line in told] == ["not by echo", "not by first token", "by frequency"]
    assert service.ledger.asked.requests == 8 and (first.tokens, second.tokens) == (1, 1)
