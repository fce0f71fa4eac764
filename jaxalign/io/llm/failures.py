"""Requests that failed, noted in the file of answers: a replay fails where the run did, a run that can ask tries again.

A note has a key of its own and stands for no answer.
"""

from jaxalign.io.llm.cache import Cache
from jaxalign.io.llm.protocol import Asked, hash_of, request_key
from jaxalign.io.llm.replies import Answer


def note(cache: Cache, model: str, server: str, request: Asked, reason: str) -> None:
    """Notes that a request failed; the first reason stays.

    Args:
      cache: the file of answers.
      model: the name of the model.
      server: the base URL under which the file knows the server.
      request: what was asked.
      reason: why there is no answer.
    """
    cache.add(_key(model, request), model, Answer((reason,), ("failed",), 0, 0, (None,)), server=server)


def find(cache: Cache, model: str, server: str, request: Asked) -> Answer | None:
    """Returns what a replay says to a request that failed: an answer with an ``error``; None if it has an answer.

    None is also what it returns if the file has neither.

    Args:
      cache: the file of answers.
      model: the name of the model.
      server: the base URL under which the file knows the server.
      request: what was asked.
    """
    if cache.get(request_key(model, request), server) is not None:
        return None
    noted = cache.get(_key(model, request), server)
    return None if noted is None else Answer((), (), error=noted.text, cached=True)


def _key(model: str, request: Asked) -> str:
    return hash_of(["failed", request_key(model, request)])
