"""What written articles are worth beside those that people wrote, and what they cost."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from experiments.common.task import Row, exactly
from experiments.planning.asking import Written
from experiments.planning.sources import Request
from jaxalign import metrics, planning
from jaxalign.numerics import Ratio
from jaxalign.planning import PlannedArticle, WrittenArticle
from jaxalign.typing import EmbedFn

EvaluateFn = Callable[[Sequence[WrittenArticle], Sequence[PlannedArticle]], Mapping[str, Ratio]]
"""``evaluate(written, records)``: figures by name, ``[N]`` each."""
SUPPORTED_WORDS, SUPPORTED_COSINE = 0.3, 0.5
"""The least support that counts, by words and by embeddings of all-MiniLM-L6-v2.

Of sentences of a FreshWiki lead, .45 and .76 have as much by the article's own cited sentences, and .02 by another's.
"""
FLOOR = 0.25
"""The cosine of headings that counts as none: by STORM's definition any outline has .7 of any other's."""
PADDING = "It should also be noted that this is a point of some importance in this context."
NOT_ENDED = "without an end"
NO_ARTICLE = "no article"


def evaluate(
    written: Sequence[WrittenArticle], records: Sequence[PlannedArticle], embed: EmbedFn | None = None
) -> dict[str, Ratio]:
    """Returns the figures of articles beside the true ones; one that is not there has no words and no headings.

    Args:
      written: the articles.
      records: the true ones with their outlines and facts.
      embed: makes embeddings of texts; None leaves out what needs them.
    """
    texts, gold = [each.article for each in written], [record.article for record in records]
    scores = metrics.rouge(texts, gold)
    outlines = [_titles(planning.article_headings(text)) for text in texts]
    true = [_titles(record.outline) for record in records]
    lengths, wanted = ([metrics.count_words(text) for text in side] for side in (texts, gold))
    paragraphs = [metrics.count_paragraphs(text) for text in texts]
    known = [sources_of(record) for record in records]
    found = {f"ROUGE-{name.removeprefix('rouge')}": scores[name].f1 for name in metrics.ROUGE_TYPES}
    found["heading recall"] = metrics.heading_recall_metric(outlines, true)
    if embed is not None:
        found["soft heading recall"] = metrics.soft_heading_recall_metric(outlines, true, embed)
        found["soft, above a floor"] = metrics.soft_heading_recall_metric(outlines, true, embed, floor=FLOOR)
        cosine = metrics.make_embedding_support(embed)
        found["supported, by cosine"] = metrics.faithfulness_metric(texts, known, cosine, threshold=SUPPORTED_COSINE)
    return found | {
        "order of shared headings": metrics.outline_order_metric(outlines, true),
        "supported, by words": metrics.faithfulness_metric(
            texts, known, metrics.word_support, threshold=SUPPORTED_WORDS
        ),
        "supported by its own plan": metrics.faithfulness_metric(
            *_planned(written), metrics.word_support, threshold=SUPPORTED_WORDS
        ),
        "repetition": metrics.repetition_metric(texts),
        "words": Ratio(jnp.asarray(lengths, jnp.float32), jnp.ones(len(lengths))),
        "paragraphs": Ratio(jnp.asarray(paragraphs, jnp.float32), jnp.ones(len(paragraphs))),
        "length score": metrics.length_score_metric(lengths, wanted),
        **shortcomings(written),
    }


def along(written: Sequence[WrittenArticle], records: Sequence[PlannedArticle]) -> Row:
    """Returns the share of supported sentences in each quarter of the articles, all together."""
    known = [sources_of(record) for record in records]
    found = metrics.faithfulness_along(
        [each.article for each in written], known, metrics.word_support, threshold=SUPPORTED_WORDS
    )
    sums = zip(*(np.asarray(part).sum(axis=0).tolist() for part in found), strict=True)
    return {
        f"quarter {number}": exactly(supported / sentences)
        for number, (supported, sentences) in enumerate(sums, 1)
        if sentences
    }


def against_requests(written: Sequence[WrittenArticle], requests: Sequence[Request]) -> dict[str, Ratio]:
    """Returns how near articles come to the length that was asked for."""
    texts, wanted = [each.article for each in written], [request.length for request in requests]
    lengths = [metrics.count_words(text) for text in texts]
    return {
        "words": Ratio(jnp.asarray(lengths, jnp.float32), jnp.ones(len(lengths))),
        "words for each that was asked for": metrics.length_ratio_metric(lengths, wanted),
        "length score": metrics.length_score_metric(lengths, wanted),
        "repetition": metrics.repetition_metric(texts),
        **shortcomings(written),
    }


def shortcomings(written: Sequence[WrittenArticle]) -> dict[str, Ratio]:
    """Returns the share of what has no article, and of articles that a limit of tokens cut off."""
    missing = jnp.asarray([float(bool(each.reason)) for each in written], jnp.float32)
    cut = jnp.asarray([float(not each.reason and not each.finished) for each in written], jnp.float32)
    ones = jnp.ones(len(written))
    return {NO_ARTICLE: Ratio(missing, ones), NOT_ENDED: Ratio(cut, ones)}


def cost(written: Written, told: Mapping[str, int]) -> Row:
    """Returns what an article of this method costs, and what its student has learnt."""
    number = len(written.articles)
    parts = {
        "turns": sum(each.turns for each in written.articles) / number,
        "prompt tokens": sum(each.prompt_tokens for each in written.articles) / number,
        "tokens written": sum(each.completion_tokens for each in written.articles) / number,
        "seconds": written.seconds / number,
    }
    return {name: exactly(value) for name, value in (parts | {f"learnt: {k}": v for k, v in told.items()}).items()}


def reasons(written: Mapping[str, Sequence[WrittenArticle]]) -> list[tuple]:
    """Returns how often each method has no article for which reason, a row a method."""
    names = sorted({each.reason for articles in written.values() for each in articles} - {""})
    return [("", *names)] + [
        (name, *(sum(each.reason == reason for each in articles) for reason in names))
        for name, articles in written.items()
    ]


def sources_of(record: PlannedArticle) -> list[str]:
    """Returns the sentences that an article on this subject may rest on: the true one's, its summary's, its facts."""
    facts = [fact.text for fact in record.key_information]
    return [*metrics.prose_sentences(record.article), *metrics.prose_sentences(record.summary), *facts]


def pad(article: str) -> str:
    """Returns the article with a sentence that says nothing behind each of its own: longer, and worse."""
    lines = []
    for line in article.splitlines():
        heading = line.startswith("#")
        padded = (f"{sentence} {PADDING}" for sentence in metrics.split_sentences(line))
        lines.append(line if heading else " ".join(padded))
    return "\n".join(lines)


def _planned(written: Sequence[WrittenArticle]) -> tuple[list[str], list[list[str]]]:
    """The articles that have a plan, others being empty, and the sentences of the plans."""
    texts = [each.article if each.plan else "" for each in written]
    plans = [[line.lstrip("-# ") for text in each.plan.values() for line in text.splitlines()] for each in written]
    return texts, plans


def _titles(outline: Sequence) -> list[str]:
    return metrics.content_headings([heading.title for heading in outline])
