"""A directory in Hugging Face format as an application, and what it takes: model, tokenizer, one thread for JAX."""

import contextlib
import pathlib
from collections.abc import Iterator

from starlette.applications import Starlette

from jaxalign import models
from jaxalign.data import load_tokenizer
from jaxalign.io import hf
from jaxalign.io.serve.engine.backend import Engine
from jaxalign.io.serve.engine.batcher import Batcher
from jaxalign.io.serve.engine.draws import Room
from jaxalign.io.serve.upstream.app import create_app


@contextlib.contextmanager
def opened(
    source: str, *, name: str = "", num_slots: int = 8, prompt_tokens: int = 0, new_tokens: int = 0, stride: int = 4
) -> Iterator[Starlette]:
    """Gives the application of a model, whose thread ends with the context.

    Args:
      source: a directory in Hugging Face format, or a hub id.
      name: by which clients ask for it; "" for the directory's name.
      num_slots: samples that are decoded side by side.
      prompt_tokens: of a prompt at most; 0 for what the context leaves, and at most 4096.
      new_tokens: of an answer at most; 0 for a quarter of the context, and at most 1024.
      stride: tokens that are decoded before any are sent.

    Raises:
      ValueError: the directory is not what it should be, or has a shorter context than is asked for.
    """
    directory = hf.resolve(source)
    tokenizer = load_tokenizer(directory)
    config, params = hf.load_pretrained(directory, dtype=hf.read_config(directory).dtype)
    new = new_tokens or max(1, min(1024, config.max_length // 4))
    room = Room(prompt_tokens or max(1, min(4096, config.max_length - new)), new)
    end_ids = tuple(dict.fromkeys([*tokenizer.end_ids, *hf.end_ids(directory)]))
    with Batcher(models.build(config), params, room, end_ids, num_slots=num_slots, stride=stride) as batcher:
        shown = name or pathlib.Path(source).name
        yield create_app(Engine(shown, batcher, tokenizer, end_ids))
