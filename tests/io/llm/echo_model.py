"""A tiny model with random weights behind the endpoints of a test's server."""

import functools

import jax
import numpy as np

from jaxalign.data.text.turns import encode_continued
from tests.io.llm import test_local


class EchoModel:
    """Says what ``/completions`` says with ``echo``, and the first token of a chat's answer with its competitors."""

    def __init__(self, policy, tokenizer):
        (model, params), self._tokenizer = policy, tokenizer
        self._logps = jax.jit(lambda tokens: jax.nn.log_softmax(model.apply({"params": params}, tokens), axis=-1))

    def logps(self, tokens):
        """Of all tokens at each place; rows are padded to one length, so that there is one program."""
        padded = np.zeros((1, 96), np.int32)
        padded[0, : len(tokens)] = tokens
        return np.asarray(self._logps(padded))[0, : len(tokens)]

    def echo(self, body):
        assert body["echo"] is True and body["max_tokens"] == 1
        tokens = encode_continued(body["prompt"], "", self._tokenizer)
        rows = self.logps(tokens)
        made_up = int(rows[-1].argmax())
        values = [None, *(float(row[token]) for row, token in zip(rows, [*tokens[1:], made_up], strict=True))]
        names = [self._tokenizer.decode([token]) or "<s>" for token in (*tokens, made_up)]
        logprobs = {"tokens": names, "token_logprobs": values, "top_logprobs": None, "text_offset": [0] * len(names)}
        choice = {"index": 0, "text": body["prompt"] + names[-1], "logprobs": logprobs, "finish_reason": "length"}
        return {"object": "text_completion", "choices": [choice], "usage": usage(len(tokens), 1)}

    def chat(self, body):
        tokens = encode_continued(body["messages"], "", self._tokenizer)
        row = self.logps(tokens)[-1]
        order = np.argsort(-row)[: body["top_logprobs"]].tolist()
        top = [{"token": self._tokenizer.decode([token]), "logprob": float(row[token])} for token in order]
        choice = {"message": {"content": top[0]["token"]}, "finish_reason": "length"}
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        return {"choices": [choice], "usage": usage(len(tokens), 1)}


def usage(prompt, completion):
    return {"prompt_tokens": prompt, "completion_tokens": completion}


@functools.cache
def echo_model():
    """One for all tests of a process."""
    tokenizer = test_local.make_tokenizer()
    policy = test_local.make_policy(tokenizer, max_length=96)
    return EchoModel(policy, tokenizer), policy, tokenizer
