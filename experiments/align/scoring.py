"""``--eval-only``: a model's figures on preference files, by implicit reward, likelihood, or its rewards."""

import dataclasses

from experiments.align import figures, reading, start
from experiments.align.methods import METHODS
from experiments.align.settings import Config
from experiments.common import origin, report, stages
from experiments.common.lists import padded
from experiments.common.task import Policy, Row
from jaxalign import models
from jaxalign.data import EncodedLists, PreferenceRecord
from jaxalign.io.report import Facts

FOLDER = "scores"
"""The folder of the report, beside a run that may be in ``--output``."""


def score(run: origin.Run, config: Config) -> dict[str, float]:
    """Prints and reports the figures of ``--model``; with ``--reference``, those of the implicit reward too."""
    tokenizer = start.load_tokenizer(config)
    records = reading.read_for_scoring(config)
    start.check_prompts(config, tokenizer, records.test)
    policy = stages.computing(stages.load_policy(config.model), config.training.computing)
    is_reward = isinstance(policy.model.config, models.RewardConfig)
    if is_reward and config.reference:
        raise ValueError(f"--reference: {config.model} is a reward model, which compares with none; leave it out")
    config = dataclasses.replace(config, loss="reward" if is_reward else "dpo")
    lists = start.encode(config, records, tokenizer).test
    for name, text in records.told.items():
        print(f"{name}: {text}")
    table = figures.rules(records.test) if figures.comparable(records.test) else {}
    table[config.model] = row(config, policy, records.test, lists)
    place = config.output if config.output.name == FOLDER else config.output / FOLDER
    run = run._replace(config=dataclasses.replace(run.config, output=place))
    said = {"caption": figures.CAPTION, "sections": [Facts("Data", records.told)]}
    return report.report_tables(run, "A model on preference files", {"figures": table}, **said)


def row(config: Config, policy: Policy, records: list[PreferenceRecord], lists: EncodedLists) -> Row:
    """The figures of one model."""
    compares, seen = figures.comparable(records), padded(records)
    if config.loss == "reward":
        if not compares:
            raise ValueError("a reward model is scored on lists or pairs whose labels differ, and the data have none")
        return figures.order_row(figures.rewards(policy, lists), seen)
    found, rows = figures.logps(policy, lists), {}
    if config.reference:
        ratios = found - start.reference_logps(config, METHODS["dpo"], lists, policy)
        rows |= figures.order_row(ratios, seen) if compares else figures.single_row(ratios, lists)
    return {
        **rows,
        **(figures.likelihood_order(found, seen) if compares else {}),
        **figures.likelihood_row(found, lists),
    }
