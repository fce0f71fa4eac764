"""What a run says when it begins, and its report when it ends."""

from collections.abc import Iterator

from experiments.align import check, figures, findings, learning, reading, start
from experiments.align.methods import METHODS
from experiments.align.plan import Plan, learning_rate
from experiments.align.settings import Config
from experiments.common import origin
from experiments.common.report import Curve, Figures, draw, write_sections
from jaxalign.data import EncodedLists, HfTokenizer
from jaxalign.io.cluster import launch
from jaxalign.io.report import Facts, Table, Texts
from jaxalign.io.run import first_steps
from jaxalign.io.run.writers import read_metrics

CURVES = ("loss", "accuracy", "margin", "log_ratio", "grad_norm", "eval/loss", "eval/accuracy", "eval/margin")


def print_beginning(config: Config, records: reading.Records, lists: EncodedLists) -> None:
    """Prints what was seen in the files, lengths, and the numbers that the config leaves to the loss."""
    for name, text in records.told.items():
        print(f"{name}: {text}")
    for line in check.lengths(lists, config.reading.limits):
        print(line)
    options, method = start.options_of(config), METHODS[config.loss]
    beta = f"beta {options.beta:g}, " if method.reads not in ("demonstrations", "rewards") else ""
    print(f"loss: {config.loss} ({method.source}), {beta}rate {learning_rate(config):g} at its peak")


def print_findings(config: Config, records: reading.Records, lists: EncodedLists, tokenizer: HfTokenizer) -> list[str]:
    """Prints warnings and returns them; refuses settings that no run can come of.

    Raises:
      ValueError: with all of these.
    """
    learnt = findings.Learnt(records.train, lists, tokenizer)
    method, options = METHODS[config.loss], start.options_of(config)
    found = findings.find(config, method, options, learnt, learning_rate(config))
    if errors := [finding.text for finding in found if finding.is_error]:
        raise ValueError("; ".join(errors))
    for finding in found:
        print(f"WARNING: {finding.text}")
    return [finding.text for finding in found]


def write_report(
    run: origin.Run, config: Config, records: reading.Records, plan: Plan, table: Figures, warnings: list[str]
) -> None:
    """Writes ``report.html``: what was read, warnings, figures, curves, and samples by step."""
    if not launch.is_main():
        return
    directory = config.output / config.loss
    rows = read_metrics(directory)
    warnings = [*warnings, *first_steps.judge_first_steps(rows, plan.num_steps)]
    there = [name for name in CURVES if any(name in row for row in rows)]
    sections = [
        Facts("Data", records.told),
        Facts("Warnings", {str(number): text for number, text in enumerate(warnings, 1)} or {"none": ""}),
        *_table(table),
        *(draw(Curve(name, name, {config.loss: directory})) for name in there),
        *_samples(learning.read_samples(directory)),
    ]
    write_sections(run, f"Alignment: {config.loss}", sections)


def _table(table: Figures) -> Iterator[Table]:
    if table:
        titles = list(dict.fromkeys(title for row in table.values() for title in row))
        rows = [(name, *(row.get(title, "") for title in titles)) for name, row in table.items()]
        yield Table("Held-out figures", ("model", *titles), rows, caption=figures.CAPTION)


def _samples(by_step: dict[int, list[dict[str, str]]]) -> Iterator[Texts]:
    if by_step:
        texts = [
            {"prompt": same[0]["prompt"]}
            | {
                f"after step {step}" if step else "before": each["response"]
                for step, each in zip(by_step, same, strict=True)
            }
            for same in zip(*by_step.values(), strict=True)
        ]
        yield Texts("Samples", texts, caption="The likeliest response to held-out prompts, by step.")
