"""What the methods of one seed share: each stage is made once, with the tokens that a model took for it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from experiments.common.llm.engine import Engine
from experiments.teleclass import learning, pipeline
from experiments.teleclass.learning import LearnFn, Learnt, Lessons
from experiments.teleclass.pipeline import Annotated, Corpus, Labelled, Prompted, Terms
from jaxalign import taxonomy as teleclass
from jaxalign.taxonomy import PathDocument


class Given(NamedTuple):
    """What a model need not be asked, since files have it."""

    terms: Terms | None = None
    documents: Sequence[PathDocument] | None = None


class Test(NamedTuple):
    """Texts to test on with their classes, and labelled texts to learn from, for the ceiling."""

    texts: Sequence[str]
    embeddings: Float[np.ndarray, "N D"]
    labels: Bool[np.ndarray, "N C"]
    supervised: Lessons


class Dials(NamedTuple):
    """How much a model is asked for."""

    documents: int  # of each path
    terms: int  # of each class
    seed: int


@dataclasses.dataclass(frozen=True)
class Study:
    """One seed of one setting. A stage asks the model when it is first looked at, and ``took`` has its tokens."""

    corpus: Corpus
    test: Test
    engine: Engine | None  # the model; None: nobody is asked, and core classes are the most similar candidates
    learn: LearnFn
    dials: Dials
    given: Given = Given()
    took: dict[str, int] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def terms(self) -> Terms:
        """Terms of each class, from a file or from the model."""
        if self.given.terms is not None:
            return self.given.terms
        options = {"document": self.corpus.kind, "count": self.dials.terms, "seed": self.dials.seed}
        return self._ask("terms", teleclass.propose_terms, self.corpus.taxonomy, **options).terms

    @functools.cached_property
    def documents(self) -> Sequence[PathDocument]:
        """Documents for each path, from a file or from the model."""
        if self.given.documents is not None:
            return self.given.documents
        options = {"count": self.dials.documents, "kind": self.corpus.kind, "seed": self.dials.seed}
        return self._ask("documents", teleclass.write_path_documents, self.corpus.taxonomy, **options).documents

    @functools.cached_property
    def annotated(self) -> Annotated:
        """Core classes among candidates that names and terms find."""
        terms = self.terms
        return self._annotate("annotated", terms)

    @functools.cached_property
    def annotated_by_names(self) -> Annotated:
        """Core classes among candidates that names find."""
        return self._annotate("annotated_by_names", self.no_terms)

    @functools.cached_property
    def flat(self) -> Prompted:
        """What the model says of the test texts, asked for classes among all."""
        return self._ask("flat", functools.partial(_prompt, pipeline.prompt_flat), self)

    @functools.cached_property
    def level_wise(self) -> Prompted:
        """What the model says of the test texts, asked level by level."""
        return self._ask("level_wise", functools.partial(_prompt, pipeline.prompt_level_wise), self)

    @functools.cached_property
    def labelled(self) -> Labelled:
        """Refined core classes, with all terms."""
        return pipeline.refine(self.corpus, self.annotated, self.terms, mined=True)

    @functools.cached_property
    def labelled_by_names(self) -> Labelled:
        """Refined core classes without terms of the model."""
        return pipeline.refine(self.corpus, self.annotated_by_names, self.no_terms, mined=True)

    @functools.cached_property
    def labelled_unmined(self) -> Labelled:
        """Refined core classes without terms of the corpus."""
        return pipeline.refine(self.corpus, self.annotated, self.terms, mined=False)

    @functools.cached_property
    def generated(self) -> Lessons:
        """What the written documents teach."""
        return pipeline.generated_lessons(self.corpus, self.documents)

    @property
    def no_terms(self) -> Terms:
        """No term of any class."""
        return [()] * len(self.corpus.taxonomy)

    def learnt(self, name: str, lessons: Lessons) -> Learnt:
        """Returns what a classifier says of the test texts that learns from lessons."""
        return self.learn(name, lessons, self.test.texts, self.test.embeddings)

    def with_generated(self, labelled: Labelled) -> Lessons:
        """Returns what documents teach with their core classes, and written ones beside them."""
        return learning.join(pipeline.core_lessons(self.corpus, labelled), self.generated)

    def _annotate(self, stage: str, terms: Terms) -> Annotated:
        if self.engine is None:
            return pipeline.annotate(self.corpus, None, terms)
        return self._ask(stage, lambda generate: pipeline.annotate(self.corpus, generate, terms))

    def _ask(self, stage: str, ask: Callable, *args, **options):
        if self.engine is None:
            raise ValueError(
                f"{stage}: nothing was given, and there is no model to ask; pass --model DIR, or --endpoint URL with "
                "--model NAME, or a file of --terms and --documents, or choose --methods that do without"
            )
        before = self.engine.ledger.asked
        found = ask(self.engine.generate, *args, **options)
        self.took[stage] = self.engine.ledger.asked.minus(before).tokens
        return found


def _prompt(prompt: Callable, generate, study: Study) -> Prompted:
    return prompt(study.corpus, generate, study.test.texts)
