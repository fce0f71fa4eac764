"""Trains a model by ``experiments.align`` and by TRL from the same weights on the same real pairs, and compares them.

    python -m tests.parity.trl_trajectories --model DIR --data FILE --output DIR

FILE is anything that experiments.align reads pairs from. The first pairs that fit the limits uncut are learnt from,
the next ones are held out; both sides read them from ``OUTPUT/pairs.jsonl``. Printed for each loss: the greatest
relative difference of what both log at each step, the greatest difference of the logits (or rewards) of the two
trained models on held-out chats, how far these moved in training, and seconds.
"""

import argparse
import json
import pathlib
from collections.abc import Iterator

import numpy as np
import transformers

from jaxalign import data
from jaxalign.data import PreferenceRecord
from jaxalign.files import write_text
from tests.parity import trl_runs

HELD_OUT = 8  # pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face directory")
    parser.add_argument("--data", required=True, type=pathlib.Path)
    parser.add_argument("--output", required=True, type=pathlib.Path, help="a new folder")
    parser.add_argument("--losses", nargs="+", default=[*trl_runs.TRAINERS], choices=[*trl_runs.TRAINERS])
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--limits", type=int, nargs=2, default=(96, 64), help="tokens of a prompt and of a response")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    arguments = parser.parse_args()
    limits = tuple(arguments.limits)
    held_out = write_pairs(arguments.output, arguments.model, arguments.data, limits, arguments.pairs)
    sizes = {"steps": arguments.steps, "batch": arguments.batch, "learning_rate": arguments.learning_rate}
    for loss in arguments.losses:
        pairs, output = arguments.output / "pairs.jsonl", arguments.output / loss
        config = trl_runs.config_of(loss, arguments.model, pairs, output, limits, **sizes)
        for line in compare(config, held_out, arguments.output / f"{loss}-trl"):
            print(f"{loss}: {line}", flush=True)


def write_pairs(
    output: pathlib.Path, model: str, path: pathlib.Path, limits: tuple[int, int], count: int
) -> list[dict]:
    """Writes ``pairs.jsonl``, and returns the pairs that are held out."""
    records = data.read_any(path, skip_bad_rows=True)[0].records
    rows = list(fitting(records, data.load_tokenizer(model), limits))
    if len(rows) < count + HELD_OUT:
        raise ValueError(f"{path}: expected {count + HELD_OUT} pairs within {limits} tokens, got {len(rows)}")
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "pairs.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows[:count]))
    return rows[count : count + HELD_OUT]


def fitting(
    records: list[PreferenceRecord], tokenizer: data.HfTokenizer, limits: tuple[int, int]
) -> Iterator[dict[str, list]]:
    """TRL's conversational pairs of the chats that nothing is cut of, one for each prompt."""
    seen = set()
    for record in records:
        if isinstance(record.prompt, str) or not all(record.responses) or len(set(record.responses)) < 2:
            continue
        lists = data.encode_lists([record], tokenizer, max_prompt=limits[0], max_response=limits[1])
        prompt = lists.prompt(0).tobytes()
        if prompt in seen or lists.report.prompts_truncated or lists.report.responses_truncated:
            continue
        seen.add(prompt)
        best = int(np.argmax(record.labels))
        answers = [[{"role": "assistant", "content": record.responses[which]}] for which in (best, 1 - best)]
        yield {"prompt": list(record.prompt), "chosen": answers[0], "rejected": answers[1]}


def compare(config: trl_runs.Config, held_out: list[dict], folder: pathlib.Path) -> Iterator[str]:
    """Runs both, and yields lines of what differs."""
    ours, theirs = trl_runs.ours(config), trl_runs.theirs(config, folder)
    for name, found in ours.metrics.items():
        expected = theirs.metrics[name]
        off = np.abs(found - expected)
        yield f"{name}, ours: {np.array2string(found, precision=6, max_line_width=10**4)}"
        yield f"{name}, TRL's: {np.array2string(expected, precision=6, max_line_width=10**4)}"
        relative = off[expected != 0] / np.abs(expected[expected != 0])
        yield f"{name} differs by at most {off.max():.2g}, {relative.max():.2g} of its value"
    tokenizer = transformers.AutoTokenizer.from_pretrained(config.model)
    chats = [pair["prompt"] + pair[side] for pair in held_out for side in ("chosen", "rejected")]
    start = trl_runs.load(config, folder / "start" if config.loss == "reward" else pathlib.Path(config.model))
    before, after, expected = (trl_runs.logits(each, tokenizer, chats) for each in (start, ours.model, theirs.model))
    off, moved = (trl_runs.farthest(each, expected) for each in (after, before))
    yield f"logits of {sum(map(len, after)):,} held-out tokens differ by at most {off:.2g}, moved by {moved:.2g}"
    yield f"seconds: ours {ours.seconds:.0f}, TRL {theirs.seconds:.0f}"


if __name__ == "__main__":
    main()
