"""TELEClass (arXiv 2403.00165): hierarchical text classification from class names only, beside its ablations.

    ./tools/run experiments.teleclass     # a made world with a simulated model; a minute or two on a CPU

Classes form a DAG; documents have no label. A model names terms of each class, and picks among the candidates of each
document; terms of the corpus are added, core classes refined, documents written for each path, and a classifier that
matches embeddings of texts with those of class names learns from both. Test texts are of all classes, some of which
have no document to learn from.

Claims (Example-F1 of the paper on Amazon-531 and DBPedia-298): TELEClass .648 and .863; without terms of the model
.552 and .832, without terms of the corpus .614 and .819, without generation .645 and .849, level-wise prompting .662
and .665.
In the made world the words of a class, what the model knows of them and how often it errs are put in
(``experiments/teleclass/world.py``, ``simulated_labeller.py``); which steps help, and what they cost, is what comes
out. experiments/RESULTS.md has it.

Departures: prompts are ours; the classifier learns on frozen embeddings, and its logits are plain (the paper's
``sigma(exp(.))`` is always 0.5 or more); a document keeps three core classes at most, as in the authors' code.
"""

import dataclasses
import pathlib

from experiments.common import machines, origin, report
from experiments.common.fields import Count, CountOrNone, Rate, flattened
from experiments.common.llm import accounts
from experiments.common.llm.server import LanguageModel
from experiments.teleclass import figures, methods, worlds
from experiments.teleclass.methods import Dials
from experiments.teleclass.simulated_labeller import SimulatedLabeller
from jaxalign.io import edge
from jaxalign.io.llm.service import Ledger
from jaxalign.io.run import run_folder

TEXTS, CORES = "texts of all classes", "core classes of the documents to learn from"
AGAINST = "Example-F1 of TELEClass minus that of each"


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    task: str = "made"  # a world made on the spot
    num_texts: tuple[Count, Count] = (1500, 500)  # documents without labels, and texts to test on
    num_terms: Count = 10  # of each class, that the model is asked for
    num_documents: CountOrNone = 5  # that the model writes for each path
    steps: Count = 300  # of the classifier, on all documents each
    learning_rate: Rate = 0.03  # at its start, before a line to 0
    seeds: Count = 5  # repetitions of everything, of which figures are means
    output: pathlib.Path = pathlib.Path("runs/teleclass")  # the folder of the run


DEFAULT = Config()
PRESETS = {"default": DEFAULT}


def main(config: Config) -> dict[str, float]:
    """Runs every method on every seed and returns the figures."""
    run = origin.begin(__package__, PRESETS, config)
    if config.task != "made":
        raise ValueError(f"--task: expected made, got {config.task!r}; real texts are not read yet")
    run_folder.open_run(config.output, flattened(config), experiment="teleclass", may_differ=("output", "seeds"))
    with accounts.limited(LanguageModel(), simulated=True) as ledger:
        runs = [run_seed(config, seed, ledger) for seed in range(config.seeds)]
    tables = report.summarise_tables([tables for tables, _ in runs])
    sections = [*runs[0][1], accounts.bill(ledger, [])]
    spread = report.spread(config.seeds, "texts")
    said = {"caption": spread, "sections": sections, "model": "simulated labeller"}
    return report.report_tables(run, "TELEClass: a made world", tables, **said)


def run_seed(config: Config, seed: int, ledger: Ledger):
    """Returns figures by table and method, and what the report shows beside them."""
    made = worlds.Made(seed, config.num_texts)
    engine = SimulatedLabeller(made.world).open(ledger)
    dials = Dials(config.steps, config.learning_rate, config.num_documents, config.num_terms, seed)
    answers, labelled = methods.run(made.corpus, made.test, engine, dials)
    table = figures.table(answers, made.test, made.corpus.taxonomy)
    tables = {
        TEXTS: table,
        AGAINST: figures.against(table),
        CORES: figures.pseudo_labels(labelled, made.truth, made.corpus.taxonomy),
    }
    return tables, figures.sections(answers, labelled, made)


if __name__ == "__main__":
    edge.explain_errors()
    machines.run_alone(main, PRESETS, __doc__)
