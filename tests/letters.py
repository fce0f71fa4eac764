"""The least that is a tokenizer."""

import string

from jaxalign.data.text.tokenizer import AnsweredChat


class Letters:
    """One id per lower-case letter, from 3 on: 0 pads, 1 ends, 2 begins."""

    vocab_size, pad_id, eos_id, bos_id = 29, 0, 1, 2
    separator_ids, end_ids, text_end_ids = (), (1,), ()

    def encode(self, text):
        return [3 + string.ascii_lowercase.index(letter) for letter in text]

    def decode(self, ids):
        return "".join(string.ascii_lowercase[token - 3] for token in ids if token > 2)

    def render_chat(self, messages, *, add_generation_prompt=True, tools=()):
        return "".join(message["content"] for message in messages)

    def encode_chat(self, messages, *, add_generation_prompt=True, continuation="", tools=()):
        return [self.bos_id, *self.encode(self.render_chat(messages) + continuation)]

    def encode_answered(self, messages, answer, *, tools=()):
        return AnsweredChat([*self.encode_chat(messages, continuation=answer), self.eos_id], None)

    def save(self, directory):
        raise NotImplementedError
