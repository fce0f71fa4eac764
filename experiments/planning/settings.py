"""Flags of the experiment: which articles are read, what a student is and learns, and what it may write."""

import dataclasses
import pathlib
from typing import Annotated, Literal

from experiments.common.fields import Count, CountOrNone, Range, Rate, Share
from experiments.common.stages import Adapter

Part = Literal["summary", "outline", "key_information"]


@dataclasses.dataclass(frozen=True)
class Files:
    """Flags of tasks whose articles come from files."""

    data: pathlib.Path | None = None  # a .parquet file or JSON lines of articles; freshwiki: its folder
    test: pathlib.Path | None = None  # likewise, to test on; none: a share of the articles
    requests: pathlib.Path | None = None  # rows of a prompt and a length in words; none: no length is asked for
    layout: Literal["records", "freshwiki", "kilt"] = "records"  # how the files are made
    x_column: str = "x"  # records: what is asked for, such as a title or a source text
    article_column: str = "article"  # records: the text that answers it
    test_share: Share = 0.2  # of the articles, drawn by the seed
    max_words: CountOrNone = 0  # of an article, which ends with the last section that fits; 0: all
    facts_per_section: CountOrNone = 0  # cited sentences that the key information has of a section; 0: all
    lead_sentences: CountOrNone = 0  # that the summary has of an article's lead; 0: all


@dataclasses.dataclass(frozen=True)
class Teacher:
    """Flags that say who writes the intermediate steps which articles lack, or all of them."""

    teacher: str = ""  # a Hugging Face directory, a hub id, or a server's base URL; empty: the articles' own steps
    teacher_name: str = ""  # its name at the server
    candidates: Count = 4  # of each step, of which the best is kept
    shots: CountOrNone = 2  # articles with steps of their own that a prompt shows first, where there are some
    teacher_tokens: Count = 512  # of a step


@dataclasses.dataclass(frozen=True)
class Student:
    """Flags of the model that learns, and of what it may read and write."""

    student: str = ""  # a Hugging Face directory or hub id; empty: from scratch, of the size below
    size: tuple[Count, Count] = (96, 2)  # width and layers of a student from scratch
    vocab_size: Count = 2048  # tokens of the tokenizer that a student from scratch gets
    prompt_tokens: Count = 1024  # files: of a prompt, with the plan that it may have; longer ones lose their beginning
    plan_tokens: Count = 512  # files: of a plan
    article_tokens: Count = 1024  # files: of an article
    temperature: Annotated[float, Range(0)] = 0.0  # of articles; 0: the most likely tokens, which small models repeat
    target_tokens: Count = 350_000  # that each mixture learns from: responses, without prompts
    batch: tuple[Count, CountOrNone] = (2, 256)  # packed rows of a step, and tokens of each; 0: as the longest may have
    learning_rate: Rate = 3e-3  # at its peak
    adapter: Adapter = Adapter()
