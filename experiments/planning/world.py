"""A made world of articles that follow a plan which their subject hides: each step of it is one look-up.

A subject is five words, such as ``otter march iron forest red``. Tables that a seed draws lead from it to an article::

    mood = moods[animal, month]             first section = starts[theme, place]
    theme = themes[mood, metal]             next section = following[theme, section]
    claim = claims[theme, section]          detail = details[claim, colour], if long[claim]

The summary leads from animal and month to the mood, and with the metal to the theme; the outline has the sections; the
key information has what each section claims, and its detail if it has one. So each word of a plan is one look-up from
words before it, which the plan repeats. Whoever writes the article at once looks up mood and theme unseen, for no
sentence has them; what else an article needs it has in both cases, and the subject alone decides it.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import tokenizers

from jaxalign import planning
from jaxalign.data import HfTokenizer
from jaxalign.planning import Budget, Fact, Heading, PlannedArticle, Wording

NUM_WORDS = 5  # of each kind
NUM_SECTIONS = 3  # of an article
SUBJECT = ("animal", "month", "metal", "place", "colour")
WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "animal": ("otter", "heron", "lynx", "raven", "badger"),
        "month": ("january", "march", "may", "july", "october"),
        "metal": ("copper", "iron", "silver", "gold", "tin"),
        "place": ("valley", "coast", "island", "moor", "forest"),
        "colour": ("white", "green", "blue", "red", "black"),
        "mood": ("calm", "bold", "sad", "merry", "grave"),
        "theme": ("love", "war", "trade", "exile", "harvest"),
        "section": ("origins", "habits", "meals", "voices", "nests"),
        "claim": ("salt", "amber", "clay", "wool", "honey"),
        "detail": ("rain", "fog", "thunder", "frost", "hail"),
    }
)
WORDING = Wording("article : {x}\n", "plan : {x}\n", "follow : {x}\n{plan}", "both : {x}\n")
_SUMMARY = "{animal} {month} {mood} {metal} {theme} {place}"
_CLAIM = "the {section} of the {animal} are known for {claim} ."
_DETAIL = "in {month} they also bring {colour} {detail} ."
_MARGIN = 8  # tokens of a budget that no true text needs


class Tables(NamedTuple):
    """What follows from what, as numbers of words: ``[NUM_WORDS, NUM_WORDS]``, and ``long`` is ``[NUM_WORDS]``."""

    moods: np.ndarray
    themes: np.ndarray
    starts: np.ndarray
    following: np.ndarray
    claims: np.ndarray
    long: np.ndarray  # of bool
    details: np.ndarray


class World(NamedTuple):
    """What a run learns from and is tested on; no subject is in both."""

    tokenizer: HfTokenizer
    train: list[PlannedArticle]
    test: list[PlannedArticle]
    wording: Wording
    limits: tuple[int, int]  # tokens of a prompt, with its prefix and a plan that fills its budget, and of a response
    budget: Budget


def make_world(seed: int, *, num_train: int, num_test: int) -> World:
    """Draws tables, and subjects without repetition.

    Args:
      seed: of the tables and of the subjects.
      num_train: articles to learn from.
      num_test: articles to be tested on.

    Raises:
      ValueError: more articles than there are subjects.
    """
    subjects = NUM_WORDS ** len(SUBJECT)
    if num_train + num_test > subjects:
        raise ValueError(f"expected at most {subjects} articles, got {num_train} + {num_test}; ask for fewer")
    rng = np.random.default_rng(seed)
    tables = draw_tables(rng)
    drawn = rng.choice(subjects, num_train + num_test, replace=False)
    numbers = np.stack(np.unravel_index(drawn, (NUM_WORDS,) * len(SUBJECT)), axis=1)
    records = [write_article(tables, row) for row in numbers.tolist()]
    tokenizer = make_tokenizer()
    plan, article = (_longest(tokenizer, records, each) for each in (planning.render_plan, planning.render_article))
    budget = Budget(plan + _MARGIN, article + _MARGIN)
    around = len(tokenizer.encode(WORDING.ask_article(records[0].x) + planning.OPENING)) + 1  # the first token
    return World(
        tokenizer,
        records[:num_train],
        records[num_train:],
        WORDING,
        (around + budget.plan, plan + article + 1),  # the last token
        budget,
    )


def draw_tables(rng: np.random.Generator) -> Tables:
    """Draws tables: in each row a word comes once, and sections follow one another in a circle."""

    def draw() -> np.ndarray:
        return rng.permuted(np.tile(np.arange(NUM_WORDS), (NUM_WORDS, 1)), axis=1)

    circles = draw()
    following = np.empty_like(circles)
    np.put_along_axis(following, circles, np.roll(circles, -1, axis=1), axis=1)
    return Tables(draw(), draw(), draw(), following, draw(), rng.permutation(NUM_WORDS) % 2 == 0, draw())


def write_article(tables: Tables, subject: Sequence[int]) -> PlannedArticle:
    """Returns the article of a subject, and its plan.

    Args:
      tables: what follows from what.
      subject: a number from 0 to ``NUM_WORDS - 1`` for each of :data:`SUBJECT`.
    """
    animal, month, metal, place, colour = subject
    mood = tables.moods[animal, month]
    theme = tables.themes[mood, metal]
    sections = [tables.starts[theme, place]]
    while len(sections) < NUM_SECTIONS:
        sections.append(tables.following[theme, sections[-1]])
    given = _words(**dict(zip(SUBJECT, subject, strict=True)), mood=mood, theme=theme)
    lines, facts = [], []
    for section in sections:
        claim = tables.claims[theme, section]
        words = given | _words(section=section, claim=claim, detail=tables.details[claim, colour])
        long = tables.long[claim]
        lines += [f"# {words['section']}", *(form.format(**words) for form in (_CLAIM, _DETAIL)[: 1 + long])]
        facts.append(Fact(("{section} {claim} {colour} {detail}" if long else "{section} {claim}").format(**words)))
    return PlannedArticle(
        x=" ".join(given[kind] for kind in SUBJECT),
        article="\n".join(lines),
        summary=_SUMMARY.format(**given),
        outline=tuple(Heading(WORDS["section"][section]) for section in sections),
        key_information=tuple(facts),
    )


def make_tokenizer() -> HfTokenizer:
    """Makes a tokenizer of one token a word, a mark, or a line break, whose decoded texts are exactly those encoded."""
    special = ["<pad>", "</s>", "<s>", "<unk>"]
    marks = [f"<{slash}{name}>" for name in (*planning.PARTS, "article") for slash in ("", "/")]
    forms = " ".join(["# -", *WORDING[:4], _CLAIM, _DETAIL]).split()
    words = itertools.chain((word for word in forms if "{" not in word), *WORDS.values())
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*special, "\n", *marks, *words]))}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    split = tokenizers.pre_tokenizers.Split
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([split("\n", "isolated"), split(" ", "removed")])
    # WordPiece's decoder puts a blank before each token but the first; those around line breaks are taken out again.
    blanks = tokenizers.decoders.WordPiece(prefix="##", cleanup=False)
    breaks = tokenizers.decoders.Replace(tokenizers.Regex(" ?\n ?"), "\n")
    backend.decoder = tokenizers.decoders.Sequence([blanks, tokenizers.decoders.Fuse(), breaks])
    backend.add_special_tokens(special)
    names = dict(pad_token="<pad>", eos_token="</s>", bos_token="<s>", unk_token="<unk>")
    return HfTokenizer(backend, {**names, "add_bos_token": True})


def _words(**numbers: int) -> dict[str, str]:
    return {kind: WORDS[kind][number] for kind, number in numbers.items()}


def _longest(tokenizer: HfTokenizer, records: Sequence[PlannedArticle], render: Callable[..., str]) -> int:
    return max(len(tokenizer.encode(render(record))) for record in records)
