"""Plans that say less than true ones, to see whether what a plan says matters: of another article, bare, out of order.

A record keeps its ``x`` and its article; scores of steps that changed go.
"""

import dataclasses
import random
from collections.abc import Sequence

from jaxalign.planning.records import PARTS, Heading, PlannedArticle
from jaxalign.planning.scores import forget_steps


def shuffle_plans(records: Sequence[PlannedArticle], *, seed: int = 0) -> tuple[PlannedArticle, ...]:
    """Gives each record the steps of another one; every plan is used once.

    Args:
      records: two or more articles with steps.
      seed: of who gets whose.

    Returns:
      The records in their order, without scores; ``provenance["plan"]`` names whose plan each has.

    Raises:
      ValueError: there is a single record, which cannot get another one's steps.
    """
    if len(records) == 1:
        raise ValueError("expected two records or more, got 1, whose plan cannot be another one's")
    order = random.Random(seed).sample(range(len(records)), len(records))
    # Each gets the plan of the next one in a random circle, so that none gets its own.
    source = dict(zip(order, (*order[1:], *order[:1]), strict=True))
    return tuple(_with_plan(record, records[source[place]]) for place, record in enumerate(records))


def headings_only(records: Sequence[PlannedArticle]) -> tuple[PlannedArticle, ...]:
    """Takes everything but the outline out of each plan.

    Args:
      records: articles with outlines.

    Returns:
      The records in their order, with what their ``scores`` and ``provenance`` say of the outline.

    Raises:
      ValueError: a record has no outline.
    """
    if lacking := [record.id or record.x for record in records if not record.outline]:
        raise ValueError(f"expected an outline in each record, got none in {lacking}; leave these records out")
    return tuple(forget_steps(record, ("summary", "key_information")) for record in records)


def shuffle_order(records: Sequence[PlannedArticle], *, seed: int = 0) -> tuple[PlannedArticle, ...]:
    """Puts the sections of each outline, with what stands under them, and the facts of each plan into another order.

    Args:
      records: articles with steps; a summary stays as it is.
      seed: of the orders, which are drawn for each place by itself.

    Returns:
      The records in their order, without the scores of outline and key information. An order is random, so that it may
      be the old one, most often where there are few sections or facts.
    """
    return tuple(_reorder(record, random.Random(f"{seed}\0{place}")) for place, record in enumerate(records))


def _with_plan(record: PlannedArticle, other: PlannedArticle) -> PlannedArticle:
    makers = {name: maker for name, maker in record.provenance.items() if name not in PARTS}
    makers |= {name: maker for name, maker in other.provenance.items() if name in PARTS}
    steps = {part: getattr(other, part) for part in PARTS}
    makers["plan"] = f"of {other.id or other.x}"
    return dataclasses.replace(record, **steps, scores={}, provenance=makers)


def _reorder(record: PlannedArticle, rng: random.Random) -> PlannedArticle:
    top = min((heading.level for heading in record.outline), default=1)
    sections: list[list[Heading]] = []
    for heading in record.outline:
        if heading.level == top or not sections:
            sections.append([])
        sections[-1].append(heading)
    outline = tuple(heading for section in rng.sample(sections, len(sections)) for heading in section)
    facts = tuple(rng.sample(record.key_information, len(record.key_information)))
    scores = forget_steps(record, ("outline", "key_information")).scores
    return dataclasses.replace(record, outline=outline, key_information=facts, scores=scores)
