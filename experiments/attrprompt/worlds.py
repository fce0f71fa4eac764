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

    gold: pathlib.Path | None = None  # real texts with labels, to test on
    gold_train: pathlib.Path | None = None  # such texts to learn from, for the ceiling; none: a part of the others
    gold_text: tuple[str, ...] = ("text",)  # columns with the text, which are joined
    gold_label: str = "label"  # column with the class, by label, name or number
    gold_classes: tuple[str, ...] = ()  # the names of the classes 0, 1 and so on, where they are numbers
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
    return Ground(read, _read_real(texts, read, seed))


def _made(texts: GoldTexts, seed: int) -> Ground:
    made = world.make_world(seed)
    rng = rng_of("real texts", seed)
    drawn = [world.real_texts(made, count, rng) for count in texts.num_gold]
    train, test = (Texts([each.text for each in part], [(each.label,) for each in part]) for part in drawn)
    return Ground(world.make_task(made), Real(train, test), lambda text: world.read_truth(made, text), made)


def _text_of(path: pathlib.Path) -> str:
    if not path.is_file():
        raise ValueError(f"--task: expected {MADE}, one of {', '.join(DATASETS)} or a TOML file, and {path} is no file")
    return path.read_text(encoding="utf-8")


def _read_real(texts: GoldTexts, task: Task, seed: int) -> Real:
    """Draws distinct texts to learn from and to test on; no text is in both."""
    columns = GoldColumns(texts.gold_text, texts.gold_label, texts.gold_classes)
    num_train, num_test = texts.num_gold
    rng = random.Random(f"real texts {seed}")
    test = _distinct(gold.read_gold(texts.gold, task, columns).rows)
    rng.shuffle(test)
    if texts.gold_train is not None:
        tested = {row.text for row in test}
        rest = [
            row for row in _distinct(gold.read_gold(texts.gold_train, task, columns).rows) if row.text not in tested
        ]
        rng.shuffle(rest)
    else:  # half of a small file is to test on
        cut = min(num_test, -(-len(test) // 2)) if num_train else num_test
        test, rest = test[:cut], test[cut:]
    if not test:
        raise ValueError(f"--gold: expected texts of the classes of the task, and {texts.gold} has none")
    return Real(_texts(rest[:num_train]), _texts(test[:num_test]))


def _distinct(rows: Sequence[TextRow]) -> list[TextRow]:
    return list({row.text: row for row in rows}.values())


def _texts(rows: Sequence[TextRow]) -> Texts:
    return Texts([row.text for row in rows], [row.labels for row in rows])
