"""What a run writes for and is tested on: the made world, a data set of the paper, or files."""

import dataclasses
import functools
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


def make_grounds(task: str, attributes: pathlib.Path | None, texts: GoldTexts, seeds: int) -> list[Ground]:
    """Makes or reads what ``task`` names, once for each seed, whose real texts are drawn anew.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a flag or a file is missing or wrong; names it.
    """
    if task == MADE:
        return [_made(texts, seed) for seed in range(seeds)]
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
    test = _read_gold(texts.gold, "--gold", texts, read)
    train = None if texts.gold_train is None else _read_gold(texts.gold_train, "--gold-train", texts, read)
    return [Ground(read, _draw_real(test, train, texts.num_gold, seed)) for seed in range(seeds)]


def _made(texts: GoldTexts, seed: int) -> Ground:
    made = world.make_world(seed)
    rng = rng_of("real texts", seed)
    drawn = [world.real_texts(made, count, rng) for count in texts.num_gold]
    train, test = (Texts([each.text for each in part], [(each.label,) for each in part]) for part in drawn)
    truth = functools.lru_cache(maxsize=None)(functools.partial(world.read_truth, made))  # for each attribute anew
    return Ground(world.make_task(made), Real(train, test), truth, made)


def _text_of(path: pathlib.Path) -> str:
    if not path.is_file():
        raise ValueError(f"--task: expected {MADE}, one of {', '.join(DATASETS)} or a TOML file, and {path} is no file")
    return path.read_text(encoding="utf-8")


def _read_gold(path: pathlib.Path, flag: str, texts: GoldTexts, task: Task) -> list[TextRow]:
    """Reads distinct texts, of one label each unless documents of the task have several."""
    columns = GoldColumns(texts.gold_text, texts.gold_label, texts.gold_classes)
    found = gold.read_gold(path, task, columns).rows
    rows = list({row.text: row for row in found}.values())
    if repeated := len(found) - len(rows):
        print(f"{path}: {repeated} of {len(found)} texts stand there before, and count once", file=sys.stderr)
    if not rows:
        raise ValueError(f"{flag}: expected texts of the classes of the task, and {path} has none")
    if not task.labels_from and (wrong := [row for row in rows if len(row.labels) != 1]):
        raise ValueError(
            f"{flag}: expected one label of each text, and {len(wrong)} of {path} have none or several, the first one "
            f"{', '.join(wrong[0].labels) or 'none'}; leave such texts out, or name in the task what gives documents "
            "several labels: labels_from"
        )
    return rows


def _draw_real(test: Sequence[TextRow], train: Sequence[TextRow] | None, most: tuple[int, int], seed: int) -> Real:
    """Draws texts to learn from and to test on; no text is in both. Half of a small file is to test on."""
    rng = random.Random(f"real texts {seed}")
    num_train, num_test = most
    test = rng.sample(test, len(test))
    if train is None:
        cut = min(num_test, -(-len(test) // 2)) if num_train else num_test
        test, train = test[:cut], test[cut:]
    else:
        tested = {row.text for row in test}
        train = [row for row in train if row.text not in tested]
        train = rng.sample(train, len(train))
    return Real(_texts(train[:num_train]), _texts(test[:num_test]))


def _texts(rows: Sequence[TextRow]) -> Texts:
    return Texts([row.text for row in rows], [row.labels for row in rows])
