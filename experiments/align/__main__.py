"""Aligns your model on your data: any loss of the DPO family, the seven ranking losses, KTO's kind, sft, or reward.

    ./tools/run experiments.align --model DIR --data pairs.jsonl --check         # says what would be done, and ends
    ./tools/run experiments.align --model DIR --data pairs.jsonl --loss dpo      # trains; OUTPUT/hf is for transformers
    ./tools/run experiments.align --model DIR --data lists.parquet --loss lambda --lora-rank 16
    ./tools/run experiments.align --model DIR --data chats.jsonl --loss sft --pack-tokens 1024
    ./tools/run experiments.align --model DIR --data pairs.csv --loss reward
    ./tools/run experiments.align --model OUTPUT/hf --reference DIR --test pairs.jsonl --eval-only

Files are JSONL, parquet, CSV, folders that datasets saved, or tfds:NAME. Their layout is recognised and said: pairs,
conversations with or without a prompt of their own, HH transcripts, single responses that are marked good or bad, lists
with labels, ranks or scores, examples; otherwise --columns names the columns. Losses:

    dpo, robust, hinge, ipo, exo-pair, discopop, nca-pair, bco-pair, sppo-hard, apo-zero, apo-down, aot,
    aot-unpaired, simpo, alphapo, orpo, cpo, kto, bco, apo-zero-unpaired, lambda, softmax, list-mle, pair-logistic,
    pair-hinge, point-mse, point-sigmoid, sft, reward

Claims: the reference's log-probabilities are computed once and kept; a prompt runs once for all of its responses; wrong
settings are errors or warnings before or within the first steps; a run that was killed goes on with the same command.
Steps are TRL's, number by number (tests/parity). Departures from TRL: lists of any length; --sft-weight adds the chosen
response's cross-entropy per pair, not per token of the batch; BCO's shift is that of the batch; the first step of a
warm-up has a rate above 0; where texts are padded with the token that ends a turn, its embedding is learnt, of which
transformers leaves out a part of the gradient.
"""

import pathlib

import jax

from experiments.align import check, figures, learning, reading, reporting, scoring, start, writing
from experiments.align.methods import METHODS
from experiments.align.plan import Plan, make_plan, make_trainee
from experiments.align.settings import Config
from experiments.common import machines, origin, report, stages
from experiments.common.fields import flattened
from experiments.common.report import Figures
from experiments.common.task import Policy
from jaxalign.data import HfTokenizer
from jaxalign.io import edge, hf
from jaxalign.io.cluster import launch
from jaxalign.io.run import run_folder
from jaxalign.typing import Params

DEFAULT = Config()
PRESETS = {"default": DEFAULT}
MAY_DIFFER = ("output", "check", "eval_only", "merge", "judge")


def main(config: Config) -> dict[str, float]:
    """Checks, aligns or scores, and returns the figures; the same command again continues a run."""
    run = origin.begin(__package__, PRESETS, config)
    if not config.model:
        raise ValueError("expected --model DIR or a hub id: the model to align or to score")
    if config.eval_only:
        return scoring.score(run, config)
    if config.judge and config.loss == "reward":
        raise ValueError("--judge compares responses, and --loss reward trains a model that writes none; leave it out")
    tokenizer = start.load_tokenizer(config)
    records = reading.read(config, METHODS[config.loss])
    start.check_prompts(config, tokenizer, records.train)
    encoded = start.encode(config, records, tokenizer)
    reporting.print_beginning(config, records, encoded.train)
    warnings = reporting.print_findings(config, records, encoded.train, tokenizer)
    if config.check:
        check.print_plan(config, encoded.train, tokenizer)
        return {}
    open_run(config)
    plan, table = align(config, records, encoded, tokenizer)
    if table:
        report.print_table(table)
    reporting.write_report(run, config, records, plan, table, warnings)
    return {f"{name}/{title}": figure.value for name, row in table.items() for title, figure in row.items()}


def open_run(config: Config) -> None:
    """Notes what the run is made with, or refuses a folder of another one."""
    run_folder.open_run(
        config.output,
        flattened(config),
        experiment="align",
        may_differ=MAY_DIFFER,
        files={"data": (), "test": ()},
        models=("model", "reference"),
    )


def align(
    config: Config, records: reading.Records, encoded: start.Encoded, tokenizer: HfTokenizer
) -> tuple[Plan, Figures]:
    """Trains and exports; returns what was done, and the table of held-out figures."""
    method, directory = METHODS[config.loss], config.output / config.loss
    plan_key, train_key = jax.random.split(jax.random.key(config.seed))
    trainee, trained = make_trainee(config, start.load_start(config), plan_key)
    policy = trainee.begun(trained)
    logps, test_logps = (start.reference_logps(config, method, lists, policy) for lists in encoded)
    plan = make_plan(config, trainee, trained, encoded.train, logps)
    held = learning.Held(records.test, encoded.test, test_logps)
    trained = learning.train(config, plan, held, tokenizer, directory, train_key)
    aligned = plan.trainee.policy(trained)
    export(config, plan, trained, aligned, tokenizer)
    if encoded.test is None:
        return plan, {}
    score_fn = figures.rewards if method.reads == "rewards" else figures.logps
    scored = {"start": score_fn(policy, encoded.test), "aligned": score_fn(aligned, encoded.test)}
    table = figures.rows_of(method, records.test, encoded.test, scored, test_logps)
    if config.judge:
        said = writing.judged(config, records.test, tokenizer, policy, aligned)
        table = {name: {**row, **said.get(name, {})} for name, row in table.items()}
    return plan, table


def export(config: Config, plan: Plan, trained: Params, aligned: Policy, tokenizer: HfTokenizer) -> None:
    """Writes ``OUTPUT/hf``, the model, and of an adapter also ``OUTPUT/adapter``, for the model it began with."""
    trainee = plan.trainee
    if trainee.lora is not None:
        base = str(pathlib.Path(config.model).absolute()) if pathlib.Path(config.model).is_dir() else config.model
        if launch.is_main():
            hf.save_adapter(config.output / "adapter", trainee.start.model.config, trained, trainee.lora, base=base)
        print(f"adapter: {config.output / 'adapter'}")
    if trainee.lora is None or config.merge:
        stages.export(config.output / "hf", aligned, tokenizer)
        print(f"model: {config.output / 'hf'}")


if __name__ == "__main__":
    edge.explain_errors()
    machines.run(main, PRESETS, __doc__)
