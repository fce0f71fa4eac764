"""What a run writes for and is tested on: the made world, a data set of the paper, or files."""

import dataclasses
import pathlib
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from experiments.attrprompt import dataset_tasks, gold, world
from experiments.attrprompt.comparison import Real, Texts
from experiments.attrprompt.datasets import DATASETS
from experiments.attrprompt.gold import GoldColumns
from experiments.attrprompt.simulated_writer import SimulatedWriter
from experiments.attrprompt.world import World
from experiments.common.fields import Count, CountOrNone
from experiments.common.llm.chance import rng_of
from experiments.common.llm.engine import Engine, open_engine
from experiments.common.llm.server import LanguageModel
from jaxalign.attributes import Task, parse_task
from jaxalign.data import TextRow
from jaxalign.io.llm.service import Ledger

MADE = "made"
TruthFn = Callable[[str], Mapping[str, str]]
"""``truth(text)``: the value of each attribute that the text has."""


@dataclasses.dataclass(frozen=True)
class GoldTexts:
    """Flags of the real texts that classifiers are tested on."""

    gold: pathlib.Path | None = None  # real texts with labels, of which some are kept to learn from: the ceiling
    gold_text: tuple[str, ...] = ("text",)  # its columns with the text, which are joined
    gold_label: str = "label"  # its column with the class, by label, name or number
    gold_classes: tuple[str, ...] = ()  # the names of the classes 0, 1 and so on, where it has numbers
    num_gold: tuple[CountOrNone, Count] = (300, 600)  # texts to learn from and to test on, at most


def open_writers(
    flags: LanguageModel, folder: pathlib.Path, ledger: Ledger, grounds: Sequence["Ground"]
) -> list[Engine]:
    """Opens the model that writes for each seed: one for all, or a simulated one for each made world."""
    if grounds[0].world is None:
        return [open_engine(flags, folder, ledger)] * len(grounds)
    return [SimulatedWriter(ground.world).open(ledger) for ground in grounds]


class Ground(NamedTuple):
    """A task, real texts, and for a made world what its texts have."""

    task: Task
    real: Real
    truth: TruthFn | None = None
    world: World | None = None


def make_ground(task: str, attributes: pathlib.Path | None, texts: GoldTexts, seed: int) -> Ground:
    """Makes or reads what ``task`` names.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a flag or a file is missing or wrong; names it.
    """
    if task == MADE:
        return _made(texts, seed)
    if task in DATASETS:
        if attributes is None:
            raise ValueError(f"--attributes: expected the folder with the attribute values of {task}, got none")
        read, report = dataset_tasks.read_dataset(attributes, task)
        for line in report.lines():
            print(f"{task}: {line}", file=sys.stderr)
    else:
        read = parse_task(_text_of(pathlib.Path(task)))
    if texts.gold is None:
        raise ValueError("--gold: expected a file of real texts with labels to test classifiers on, got none")
    columns = GoldColumns(texts.gold_text, texts.gold_label, texts.gold_classes)
    return Ground(read, _split(gold.read_gold(texts.gold, read, columns).rows, texts.num_gold, seed))


def _made(texts: GoldTexts, seed: int) -> Ground:
    made = world.make_world(seed)
    rng = rng_of("real texts", seed)
    train, test = (_texts(world.real_texts(made, count, rng)) for count in texts.num_gold)
    return Ground(world.make_task(made), Real(train, test), lambda text: world.read_truth(made, text), made)


def _texts(made: Sequence[world.Text]) -> Texts:
    return Texts([each.text for each in made], [(each.label,) for each in made])


def _text_of(path: pathlib.Path) -> str:
    if not path.is_file():
        raise ValueError(f"--task: expected {MADE}, one of {', '.join(DATASETS)} or a TOML file, and {path} is no file")
    return path.read_text(encoding="utf-8")


def _split(rows: Sequence[TextRow], counts: tuple[int, int], seed: int) -> Real:
    """Draws distinct texts to test on and to learn from; texts that occur twice are in neither twice."""
    distinct = list({row.text: row for row in rows}.values())
    num_train, num_test = counts
    if len(distinct) < 2 or num_test >= len(distinct) + bool(not num_train):
        raise ValueError(
            f"--num-gold: expected fewer texts to test on than the {len(distinct)} distinct ones, got {num_test}"
        )
    drawn = random.Random(f"real texts {seed}").sample(distinct, min(num_train + num_test, len(distinct)))
    parts = drawn[num_test:], drawn[:num_test]
    return Real(*(Texts([row.text for row in part], [row.labels for row in part]) for part in parts))
