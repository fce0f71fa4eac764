"""Flags of the experiment: which files are read, and how the classifier learns."""

import dataclasses
import pathlib
from typing import Literal

from experiments.common.fields import Count, Rate, Share


@dataclasses.dataclass(frozen=True)
class Files:
    """Flags of tasks whose classes and documents come from files."""

    taxonomy: pathlib.Path | None = None  # its file, or a folder with labels.txt and label_hierarchy.txt
    corpus: pathlib.Path | None = None  # documents, .parquet or JSON lines; none: train/ and test/ of that folder
    test: pathlib.Path | None = None  # labelled documents to test on; none: a share of the corpus, if it has labels
    text: tuple[str, ...] = ("text",)  # columns of a document, joined by blanks
    label: tuple[str, ...] = ()  # column of a list of classes or of a path; or several, of a path from the root down
    group: str = ""  # column whose equal values are all learnt from, or all tested on, such as a product
    test_share: Share = 0.25  # of a labelled corpus, drawn by the seed
    terms: pathlib.Path | None = None  # rows of classes with their terms; none: a model is asked
    terms_column: str = "terms"  # in which they stand
    phrases: pathlib.Path | None = None  # candidates for terms of the corpus; none: gensim finds them
    documents: pathlib.Path | None = None  # rows of written documents: text, and labels from the root down
    kind: str = "text"  # of document, in prompts


@dataclasses.dataclass(frozen=True)
class Training:
    """Flags of the classifier."""

    encoder: str = ""  # a Hugging Face directory or hub id, of documents, names and terms; made: not needed
    classifier: Literal["head", "fine-tuned"] = "head"  # head: the encoder stays as it is
    network: str = ""  # fine-tuned: the network that learns; empty: the encoder
    pooling: Literal["mean", "first"] = "mean"  # of the network: first is BERT's first token through its pooler
    steps: Count = 300  # of a head, on all documents each
    learning_rate: Rate = 0.01  # of a head at its start, before a line to 0
    epochs: Count = 5  # of fine-tuning
    batch: Count = 64  # documents of a step of fine-tuning
    fine_tuning_rate: Rate = 5e-5  # of AdamW, constant
    weight_decay: Rate = 5e-6  # of fine-tuning, of matrices
    text_lengths: tuple[Count, ...] = (4, 8, 16, 32, 64, 128)  # tokens of rows, growing; longer texts are cut
