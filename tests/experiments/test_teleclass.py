"""experiments.teleclass at toy size: the made world, what the simulated model answers, and what the steps come to."""

import dataclasses

import numpy as np
import pytest

from experiments.common.llm.chance import rng_of
from experiments.teleclass import __main__ as teleclass
from experiments.teleclass import methods, world
from experiments.teleclass.methods import FULL, GENERATED, NAMES, SUPERVISED
from experiments.teleclass.settings import Training
from experiments.teleclass.simulated_labeller import SimulatedLabeller
from jaxalign import taxonomy as parts
from jaxalign.io.llm.service import Ledger

TOY = dataclasses.replace(teleclass.DEFAULT, num_texts=(90, 20), num_documents=2, training=Training(steps=60), seeds=1)


@pytest.fixture(scope="module")
def made():
    return world.make_world(7)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    config = dataclasses.replace(TOY, output=tmp_path_factory.mktemp("teleclass"))
    return config, teleclass.main(config)


def figure(toy, table, row, name):
    return toy[1][f"{table}/{row}/{name}"]


def test_steps_help(toy):
    f1 = {name: figure(toy, teleclass.TEXTS, name, "Example-F1") for name in (FULL, NAMES, GENERATED, SUPERVISED)}
    assert f1[FULL] > f1[NAMES] + 0.1 and f1[SUPERVISED] > f1[NAMES] + 0.1
    assert figure(toy, teleclass.AGAINST, NAMES, "Example-F1") == pytest.approx(f1[FULL] - f1[NAMES])
    refined = figure(toy, teleclass.CORES, f"{FULL}, refined", "F1")
    assert refined > figure(toy, teleclass.CORES, f"{FULL}, as annotated", "F1")
    recall = {name: figure(toy, teleclass.CORES, f"{name}, candidates", "recall") for name in (FULL, methods.NO_TERMS)}
    assert recall[FULL] > 0.8 > recall[methods.NO_TERMS] + 0.1


def test_costs_add_up(toy):
    tokens = {name: figure(toy, teleclass.TEXTS, name, "tokens") for name in (FULL, GENERATED, methods.NO_GENERATION)}
    assert tokens[FULL] == tokens[GENERATED] + tokens[methods.NO_GENERATION] and tokens[GENERATED] > 0
    assert figure(toy, teleclass.TEXTS, SUPERVISED, "tokens") == 0


def test_the_report(toy):
    page = (toy[0].output / "report.html").read_text()
    titles = "Figures by level", "What became of the documents", "Taxonomy, seed 0"
    assert all(title in page for title in titles)


def test_the_world(made):
    taxonomy = made.taxonomy
    assert taxonomy.depth == 3 and len(taxonomy.roots) == world.ROOTS
    assert sum(len(parents) == 2 for parents in taxonomy.parents) == world.TWO_PARENTS
    texts = world.make_texts(made, 300, rng_of("texts"), all_classes=False)
    assert not made.silent & {number for text in texts for number in text.labels} and len(made.silent) == 3
    for text in texts:
        assert taxonomy.parents[text.labels[0]] == () and len(text.labels) == 1 + taxonomy.levels[text.labels[-1]]
        assert all(above in taxonomy.parents[below] for above, below in zip(text.labels, text.labels[1:], strict=False))
    everywhere = world.make_texts(made, 600, rng_of("more"), all_classes=True)
    assert made.silent <= {text.labels[-1] for text in everywhere}
    # A text is nearer to its own class's words than to all others', more often than not.
    means = np.stack([made.embed([" ".join(terms)])[0] for terms in made.terms])
    nearest = (made.embed([text.text for text in texts]) @ means.T).argmax(axis=1)
    assert np.mean([near in text.labels for near, text in zip(nearest, texts, strict=True)]) > 0.7


def test_what_makes_terms_of_classes_matter(made):
    taxonomy = made.taxonomy
    # The search keeps 3 roots, and 5 children of a class of the second level.
    assert len(taxonomy.roots) > 3 and all(len(taxonomy.children[number]) > 5 for number in taxonomy.children[0])
    assert len(set(taxonomy.names)) == len(taxonomy) - world.SHARED
    texts = world.make_texts(made, 300, rng_of("texts"), all_classes=False)
    words = [set(text.text.split()) for text in texts]
    assert np.mean([taxonomy.names[text.labels[-1]] in each for text, each in zip(texts, words, strict=True)]) < 0.2
    ideas = {word for each in made.ideas for word in each}
    assert not any(ideas & each for each in words)
    assert {len(each) for each in made.known} == set(world.KNOWN)
    assert all(set(known) <= set(terms) for known, terms in zip(made.known, made.terms, strict=True))


def test_classes_of_one_name_are_told_apart_where_paths_are_said(made):
    names = made.taxonomy.names
    both = [number for number, name in enumerate(names) if name == max(names, key=names.count)]
    labeller = SimulatedLabeller(made, guess=1.0, confusion=0.0, unknown=0.0)
    texts = [" ".join(made.terms[number]) for number in both]
    said = parts.annotate_documents(labeller.generate, made.taxonomy, texts, [both] * 2)
    assert [each.classes for each in said] == [(number,) for number in both]
    # Of a name alone nobody knows which is meant, so that a text on the other class fits it too.
    elsewhere = next(leaf for leaf in made.taxonomy.leaves if leaf not in both)
    said = parts.annotate_documents(labeller.generate, made.taxonomy, texts, [[both[0], elsewhere]] * 2)
    assert [each.classes for each in said] == [(both[0],)] * 2


def test_the_simulated_model_reads_what_is_asked(made):
    labeller = SimulatedLabeller(made, confusion=0.0, unknown=0.0)
    engine = labeller.open(Ledger())
    terms = parts.propose_terms(engine.generate, made.taxonomy, count=10)
    assert all(len(each) == 10 for each in terms.terms) and not terms.unread
    right = [{*known, *ideas} for known, ideas in zip(made.known, made.ideas, strict=True)]
    assert all(len(each & set(named)) >= 8 for each, named in zip(right, terms.terms, strict=True))
    written = parts.write_path_documents(engine.generate, made.taxonomy, count=1).documents
    assert [document.path for document in written] == list(made.taxonomy.paths)
    known = {*made.fillers, *made.taxonomy.names}.union(*right)
    assert all(set(document.text.split()) <= known for document in written)
    everything = [list(range(len(made.taxonomy)))] * len(written)
    said = parts.annotate_documents(engine.generate, made.taxonomy, [each.text for each in written], everything)
    assert all(each.classes for each in said)
    assert np.mean([each.classes[0] in document.path for each, document in zip(said, written, strict=True)]) > 0.8
    with pytest.raises(ValueError, match="knows prompts that begin with"):
        engine.generate(["Hello"])
