"""The questions that ensembles are compared on, and the model that they ask."""

import pathlib
from typing import TYPE_CHECKING, NamedTuple

from experiments.common.llm.engine import Engine, counting, open_engine
from experiments.common.llm.server import LanguageModel
from experiments.ease import puzzles_world
from experiments.ease.simulated_answerer import SimulatedAnswerer
from jaxalign import data, ensemble
from jaxalign.data import Question
from jaxalign.io.llm.service import Ledger

if TYPE_CHECKING:
    from experiments.ease.__main__ import Config

KINDS = {
    "esnli": data.ESNLI,
    "anli": data.ANLI,
    "csqa": data.CSQA_COSE,
    "openbookqa": data.OPENBOOKQA,
    "strategyqa": data.STRATEGYQA,
    "nli": data.NliColumns(explanations=("explanation",)),
    "choice": data.ChoiceColumns(explanations=("explanation",)),
    "boolean": data.BooleanColumns(explanations=("explanation",)),
}
"""What the columns of a file are called; the last three are the plain names."""


class EnsembleWorld(NamedTuple):
    """Demonstrations with explanations, and questions with known answers."""

    shots: ensemble.FewShot
    questions: list[Question]


def open_answerer(flags: LanguageModel, folder: pathlib.Path, ledger: Ledger, *, simulated: bool) -> Engine:
    """Opens the model that answers: a simulated one, or what the flags name, as :func:`open_engine` does."""
    return counting(SimulatedAnswerer().open(ledger) if simulated else open_engine(flags, folder, ledger))


def make_world(config: "Config", seed: int, engine: Engine) -> EnsembleWorld:
    """Makes what ``config.task`` names; ``config.max_prompt`` tokens of the engine limit the demonstrations.

    Raises:
      ValueError: if a file is missing, or too few questions are there.
    """
    style = {"text": ensemble.BY_TEXT, "letter": ensemble.BY_LETTER}[config.answers]
    if config.task == "made":
        questions = puzzles_world.make_questions(seed, sum(config.num_questions))
    else:
        if config.data is None:
            raise ValueError("expected --data FILE with questions, answers and explanations, got none")
        questions = data.read_file(config.data, KINDS[config.kind]).records
    num_shown, num_test = config.num_questions
    split = data.split_questions(questions, num_demonstrations=num_shown, num_test=num_test, seed=seed)
    shots = ensemble.FewShot(tuple(split.demonstrations), style=style)
    fitting = ensemble.fit_demonstrations(
        shots, split.test, count_tokens=engine.count_tokens, max_tokens=config.max_prompt
    )
    return EnsembleWorld(fitting, split.test)
