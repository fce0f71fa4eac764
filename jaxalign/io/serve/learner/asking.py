"""Second answers, trials of single examples and new answers to examples' requests, with a judge's word on each.

All are had from upstreams over HTTP. What a judge writes and cannot be read is counted, and is no vote.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from jaxalign.data import PreferencePair
from jaxalign.io import llm
from jaxalign.io.llm.http import ask
from jaxalign.io.serve.config import Model, ServeConfig
from jaxalign.io.serve.store.protocol import Store
from jaxalign.io.serve.store.rows import SHARED, Feedback, Interaction
from jaxalign.judge import JudgeFn, make_reasoning_judge
from jaxalign.judge.prompts import RATING
from jaxalign.serving.rendering import ShownExample, render_examples
from jaxalign.typing import Prompt

JUDGE_TOKENS = 512
ANSWER_TOKENS = 2048


class Counts(NamedTuple):
    """What came of questions."""

    votes: int = 0
    unread: int = 0  # a judge's words, without a verdict in one order or both
    failed: int = 0  # no answer from an upstream

    def plus(self, **more: int) -> "Counts":
        """Returns counts with more of some.

        Args:
          more: by name.
        """
        return self._replace(**{name: getattr(self, name) + value for name, value in more.items()})


class Upstreams:
    """The models of the settings, as the learner asks them.

    Args:
      config: the settings.
    """

    def __init__(self, config: ServeConfig):
        self._models = {model.name: model for model in config.models}
        self._servers = {each.name: each for each in config.upstreams}

    def answers(self, model: str, chat: Prompt, *, n: int, temperature: float, most: int) -> list[str]:
        """Returns n answers, one request each, as many servers know no other way.

        Args:
          model: its name in the settings.
          chat: a text, or messages.
          n: how many.
          temperature: of the sampling.
          most: tokens of an answer.

        Raises:
          RequestError: there is none.
        """
        requests = [
            llm.Request(chat, temperature=temperature, max_tokens=most, seed=sample, sample=sample)
            for sample in range(n)
        ]
        if model not in self._models:
            raise llm.RequestError(f"{model!r} is none of the models {sorted(self._models)} any more")
        client = self._client(self._models[model])
        return [ask(client, request).text for request in requests]

    def _client(self, model: Model) -> llm.Client:
        server = self._servers[model.upstream]
        return llm.Client(
            server.base_url,
            model.upstream_model or model.name,
            key_variable=server.key_env,
            timeout=server.silence_seconds,
            max_retries=1,
        )


class Asker:
    """Has answers compared.

    Args:
      config: the settings, with a judge.
      store: where requests, examples and votes are.
      upstreams: the models.
    """

    def __init__(self, config: ServeConfig, store: Store, upstreams: Upstreams):
        self._store, self._upstreams, self._judge_name = store, upstreams, config.learning.judge
        costs = config.costs
        self._shown = {model.name for model in config.routed if model.examples}
        self._small = min(self._shown, key=lambda name: costs[name], default=None)
        samples = config.learning.judge_samples
        self._judge: JudgeFn = make_reasoning_judge(
            self._generate, RATING, n=samples, temperature=float(samples > 1), max_tokens=JUDGE_TOKENS
        )
        self.counts = Counts()

    def settle(self, about: Interaction, *, second: bool) -> None:
        """Does what is to be asked of an interaction, once: what fails is counted and not tried again.

        Args:
          about: the interaction.
          second: whether a second answer is wanted, where it has an opponent.
        """
        told = []
        if about.request is not None and about.response is not None:
            try:
                if about.opponent is not None and second:
                    told += self._second_answer(about)
                if about.probes and self._small is not None:
                    told += self._probe(about)
            except llm.RequestError:
                self.counts = self.counts.plus(failed=1)
        if told:
            self._store.add_feedback(told)
        self._store.settle(about.id)

    def compare(self, request: str, first: str, second: str) -> float | None:
        """Returns how likely the first of two answers is the better one, by both orders; None where nothing was read.

        Args:
          request: what was asked.
          first: an answer.
          second: another one.
        """
        (judged,) = self._judge([PreferencePair(request, first, second, 0.5)])
        read = judged.probability is not None
        self.counts = self.counts.plus(votes=int(read), unread=int(not read))
        return judged.probability

    def answer(self, model: str, request: str, shown: Sequence[ShownExample], *, n: int = 1) -> list[str]:
        """Returns a model's answers to a request with examples.

        Args:
          model: its name.
          request: the text.
          shown: the examples, best last.
          n: how many answers.
        """
        chat = tuple(render_examples(request, shown))
        return self._upstreams.answers(model, chat, n=n, temperature=1.0 if n > 1 else 0.0, most=ANSWER_TOKENS)

    def _second_answer(self, about: Interaction) -> list[Feedback]:
        if about.opponent in self._shown:
            found = self._store.texts((about.tenant, SHARED), about.examples)
        else:
            found = {}
        shown = [ShownExample(*found[each]) for each in about.examples if each in found]
        (second,) = self.answer(about.opponent, about.request, shown)
        return _vote(about, "comparison", self.compare(about.request, about.response, second), about.opponent)

    def _probe(self, about: Interaction) -> list[Feedback]:
        """Has the small model answer without and with each of some examples, and the two compared."""
        (without,) = self.answer(self._small, about.request, ())
        found = self._store.texts((about.tenant, SHARED), about.probes)
        told = []
        for example, texts in found.items():
            (with_it,) = self.answer(self._small, about.request, (ShownExample(*texts),))
            told += _vote(about, "probe", self.compare(about.request, with_it, without), str(example))
        return told

    def _generate(self, prompts: Sequence[Prompt], *, n: int = 1, temperature: float = 1.0, max_tokens: int, **_):
        return [
            self._upstreams.answers(self._judge_name, prompt, n=n, temperature=temperature, most=max_tokens)
            for prompt in prompts
        ]


def _vote(about: Interaction, kind, outcome: float | None, subject: str) -> list[Feedback]:
    if outcome is None:
        return []
    return [Feedback(about.id, about.tenant, kind, outcome, subject, time.time())]
