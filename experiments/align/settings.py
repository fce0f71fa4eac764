"""The settings of an alignment run: every field is a flag."""

import dataclasses
import pathlib
from typing import Annotated, Literal

from experiments.align.methods import METHODS
from experiments.common.fields import Count, CountOrNone, Positive, Range, Rate, Share
from experiments.common.stages import Adapter, Computing

Loss = Literal[*METHODS]
Smoothing = Annotated[float, Range(0, 0.499)]


@dataclasses.dataclass(frozen=True)
class Data:
    """Flags of what is read."""

    data: tuple[pathlib.Path, ...] = ()  # to learn from: JSONL, parquet, CSV, folders of datasets, tfds:NAME
    test: tuple[pathlib.Path, ...] = ()  # held-out ones; none: a share of the prompts of --data
    split: str = ""  # of data sets that have several, for --data
    test_split: str = ""  # of those of --test
    columns: tuple[str, ...] = ()  # ROLE=COLUMN for each role, such as prompt=question; none: they are recognised
    skip_bad_rows: bool = False  # rows that cannot be used are counted and left out; otherwise they are errors
    held_out: Share = 0.1  # share of the prompts that are kept to test on, without --test
    max_held_out: Count = 256  # of these, at most
    responses: CountOrNone = 0  # of a list that are kept, at even distances in the order of their labels; 0: all
    as_chat: bool = False  # a prompt that is a text becomes a user's message, in the model's chat template
    chat_template: str = ""  # of a model without one: a Jinja file, or plain for "role: content"; "": the model's own
    limits: tuple[Count, Count] = (512, 512)  # tokens of a prompt, which keeps its end, and of a response


@dataclasses.dataclass(frozen=True)
class Training:
    """Flags of how is learnt."""

    steps: CountOrNone = 0  # 0: what the epochs take
    epochs: Positive = 1.0  # passes over the data, where steps are 0
    batch: Count = 8  # prompts of a step, or rows into which lists are packed
    accumulate: Count = 1  # parts of a batch that run one after the other, to spare memory
    pack_tokens: CountOrNone = 0  # of a row into which prompts with their responses are packed; 0: one prompt a row
    list_size: CountOrNone = 0  # responses of a prompt in one step; 0: two for losses of pairs, else up to 8
    learning_rate: Rate | None = None  # at its peak; none: by loss and adapter, see the first lines of a run
    schedule: Literal["linear", "cosine", "constant"] = "linear"  # after the warm-up, to 0 or not
    warmup: Share = 0.1  # share of the steps in which the rate rises
    weight_decay: Rate = 0.0  # of matrices
    optimizer: Literal["adamw", "adafactor"] = "adamw"  # the second keeps hardly any state; its rates are relative
    computing: Computing = Computing()
    adapter: Adapter = Adapter()  # low-rank adapters instead of all parameters
    eval_every: CountOrNone = 0  # steps between evaluations; 0: four in a run
    patience: CountOrNone = 0  # evaluations without a better one after which it stops; 0: never


@dataclasses.dataclass(frozen=True)
class Config:
    """One run; every field is a flag."""

    model: str = ""  # a Hugging Face directory or hub id: what is aligned, or scored
    reading: Data = Data()
    loss: Loss = "dpo"  # see the list above
    beta: Positive | None = None  # reward of a nat; none: what the loss's paper has, see the first lines of a run
    label_smoothing: Smoothing = 0.0  # chance that a pair is labelled the wrong way round, for losses that know it
    margin: Rate = 0.5  # simpo, alphapo: by which chosen responses are to be better
    sft_weight: Rate | None = None  # of the chosen response's cross-entropy; none: 1 for orpo and cpo, else 0
    training: Training = Training()
    reference: str = ""  # another model as reference, a Hugging Face directory or hub id; "": the model as it begins
    samples: CountOrNone = 4  # held-out prompts that the report shows responses to, at each evaluation
    sample_tokens: Count = 128  # of such a response, at most
    judge: str = ""  # a reward model, a Hugging Face directory or hub id, that compares responses before and after
    merge: bool = True  # an adapter into its base: OUTPUT/hf has a whole model beside OUTPUT/adapter
    check: bool = False  # says what would be done, and ends
    eval_only: bool = False  # scores --model on --test, or else on all of --data, and ends
    seed: Annotated[int, Range(0)] = 0  # of the held-out prompts, the order of the data, and an adapter's start
    output: pathlib.Path = pathlib.Path("runs/align")  # the folder of the run; the same command continues in it
