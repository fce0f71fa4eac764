"""Files of a made world for experiments.teleclass: classes, documents, what a model says of them, and an encoder."""

import functools
import json

import jax

from experiments.common.classifiers import starts
from experiments.common.classifiers.settings import ClassifierTraining
from experiments.common.llm.chance import rng_of
from experiments.teleclass import world
from experiments.teleclass.simulated_labeller import SimulatedLabeller
from jaxalign import taxonomy as teleclass
from jaxalign.io import hf
from jaxalign.io.llm.service import Ledger
from tests.io.llm import chat_server

SEED = 7


@functools.cache
def made():
    return world.make_world(SEED)


def texts(count, *, test=False):
    return world.make_texts(made(), count, rng_of("files", test), all_classes=test)


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write(folder, count=48, tested=24):
    """``classes.jsonl``, ``corpus.jsonl`` with paths and groups of four, ``test.jsonl``, ``documents.jsonl``."""
    taxonomy = made().taxonomy
    classes = (
        {"label": f"c{number}", "name": name, "parents": [f"c{p}" for p in parents], "terms": list(terms[:4])}
        for number, (name, parents, terms) in enumerate(
            zip(taxonomy.names, taxonomy.parents, made().terms, strict=True)
        )
    )
    write_rows(folder / "classes.jsonl", classes)
    for name, each in (("corpus", texts(count)), ("test", texts(tested, test=True))):
        rows = (
            {"text": text, "labels": [f"c{n}" for n in labels], "product": place // 4}
            for place, (text, labels) in enumerate(each)
        )
        write_rows(folder / f"{name}.jsonl", rows)
    written = teleclass.write_path_documents(labeller().generate, taxonomy, count=1).documents
    rows = ({"text": each.text, "labels": [f"c{n}" for n in each.path]} for each in written)
    write_rows(folder / "documents.jsonl", rows)
    return folder


def write_authors_layout(folder):
    """The same in the layout of the authors' repository, with what their model answered."""
    taxonomy = made().taxonomy
    edges = [f"{parent}\t{child}\n" for child, parents in enumerate(taxonomy.parents) for parent in parents]
    written = teleclass.write_path_documents(labeller().generate, taxonomy, count=1).documents
    paths = {f"{n}": {"with ancestors": [str(c) for c in each.path]} for n, each in enumerate(written)}
    files = {
        "labels.txt": "".join(f"{n}\t{name}\n" for n, name in enumerate(taxonomy.names)),
        "label_hierarchy.txt": "".join(edges),
        "train/llm_enrichment.txt": "".join(
            f"{name}:{','.join(terms[:4])}\n" for name, terms in zip(taxonomy.names, made().terms, strict=True)
        ),
        "train/generated_docs.txt": "".join(f"{n}\t{each.text}\n" for n, each in enumerate(written)),
        "train/generated_doc2label.json": json.dumps(paths),
    }
    for part, each in (("train", texts(24)), ("test", texts(12, test=True))):
        files[f"{part}/corpus.txt"] = "".join(f"d{n}\t{text}\n" for n, (text, _) in enumerate(each))
        gold = (f"d{n}\t{','.join(map(str, labels))}\n" for n, (_, labels) in enumerate(each))
        files[f"{part}/doc2labels.txt"] = "".join(sorted(gold, reverse=True))
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def write_encoder(folder):
    """An encoder of random weights that knows the words of the world."""
    words = [*made().vectors]
    tuning = ClassifierTraining(encoder_words=len(words), encoder_size=(32, 1), text_lengths=(64,))
    tokenizer = starts.make_tokenizer([" ".join(words)], len(words))
    policy = starts.new_encoder(tuning, jax.random.key(0))
    hf.save_pretrained(folder, policy.model.config, policy.params, tokenizer)
    return folder


@functools.cache
def labeller():
    return SimulatedLabeller(made()).open(Ledger())


def chat(body):
    """What the simulated model answers, as a server tells it."""
    prompt = body["messages"][-1]["content"]
    ((text,),) = labeller().generate([prompt], n=1, seed=body.get("seed"))
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}
    return chat_server.completion(body, choices=[choice], usage=usage)
