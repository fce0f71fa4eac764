"""A judge of the made world that counts facts, and likes long texts: what real judges are suspected of."""

import math
from collections.abc import Sequence

from experiments.planning import world_figures
from jaxalign.data import PreferencePair
from jaxalign.judge import JudgeFn, Judgement
from jaxalign.planning import PlannedArticle
from jaxalign.prompting import Orders

TASTE = 0.2
"""What a word is worth to the judge, in facts."""


def make_judge(records: Sequence[PlannedArticle], taste: float = TASTE) -> JudgeFn:
    """Makes a judge that knows the true articles.

    The log-odds of the first text are the right facts that it has more than the second, and ``taste`` for each word
    that it is longer. Wrong facts do not count, or else a text that says less would beat one that is mostly wrong.

    Args:
      records: the true articles of all subjects that it will be asked about.
      taste: the worth of a word in facts; 0 for a judge that does not see length.
    """
    true = {record.x: record.article for record in records}

    def worth(x: str, text: str) -> float:
        right, _ = world_figures.right_facts(text, true[x])
        return right + taste * len(text.split())

    def judge(pairs: Sequence[PreferencePair]) -> list[Judgement]:
        leads = (worth(str(pair.prompt), pair.first) - worth(str(pair.prompt), pair.second) for pair in pairs)
        chances = [1 / (1 + math.exp(-max(min(lead, 50), -50))) for lead in leads]
        return [Judgement(chance, Orders(chance, chance)) for chance in chances]

    return judge
