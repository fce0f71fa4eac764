"""Sample texts for a file of prompts: ``./tools/run tools.sample MODEL PROMPTS.jsonl OUT.jsonl``.

PROMPTS.jsonl has one object a line: ``prompt``, a text or a list of chat messages, and perhaps ``id``. OUT.jsonl gets a
line a sample as it ends: id, sample, text, finish, tokens, logps (see jaxalign.io.jobs.completions). After a break, the
same command goes on where it was; with other weights, another tokenizer, template or setting, OUT is refused.
"""

import dataclasses
import pathlib
from typing import Annotated

import jax
import jax.numpy as jnp
import tyro

from jaxalign import models, sampling, sharding
from jaxalign.data import load_tokenizer
from jaxalign.io import edge, hf
from jaxalign.io.cluster import launch
from jaxalign.io.jobs import completions


def main(
    model: Annotated[str, tyro.conf.arg(metavar="MODEL")],
    prompts: Annotated[pathlib.Path, tyro.conf.arg(metavar="PROMPTS")],
    out: Annotated[pathlib.Path, tyro.conf.arg(metavar="OUT")],
    /,
    num_samples: int = 1,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    stop: tuple[str, ...] = (),
    seed: int = 0,
    slots: int = 32,
    tensor: int = 1,
    skip_long: bool = False,
    skip_bad_rows: bool = False,
) -> None:
    """Sample texts for a file of prompts.

    Args:
        model: a directory in Hugging Face format, or a hub id.
        prompts: JSON lines.
        out: JSON lines; continued if it exists.
        num_samples: of each prompt.
        max_new_tokens: of each sample.
        temperature: 0 for the most likely token, always.
        top_k: draw among this many tokens.
        top_p: draw among the most likely tokens that together have this probability.
        min_p: draw among tokens at least this share as likely as the most likely one.
        repetition_penalty: divides the logits of tokens that have occurred.
        stop: texts that end a sample, special tokens such as <|im_end|> among them.
        seed: of the random numbers.
        slots: samples that are decoded side by side, a multiple of the number of devices.
        tensor: devices that share the heads; the others share parameters and slots.
        skip_long: leave out prompts that exceed the model's context.
        skip_bad_rows: leave out rows without a prompt.
    """
    edge.check_least(1, num_samples=num_samples, max_new_tokens=max_new_tokens, slots=slots, tensor=tensor)
    edge.check_least(0, temperature=temperature)
    penalties = [] if repetition_penalty is None else [sampling.repetition_penalty(repetition_penalty)]
    chosen = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    # Temperature 0 is the limit in which only the most likely token is left.
    filters = {**chosen, "temperature": 1.0, "top_k": 1} if temperature == 0 else chosen
    transforms = [getattr(sampling, name)(value) for name, value in filters.items() if value is not None]

    launch.keep_programs()
    directory = hf.resolve(model)
    tokenizer = load_tokenizer(directory)
    rows = completions.read_prompts(prompts, tokenizer, skip_bad_rows=skip_bad_rows)
    mesh, rules = sharding.make_mesh(tensor=tensor), sharding.Rules(models.LOGICAL_AXES)
    config, params = _load(directory, mesh, rules)
    report = completions.write_completions(
        out,
        models.build(config),
        params,
        tokenizer,
        rows,
        jax.random.key(seed),
        num_samples=num_samples,
        max_new_tokens=max_new_tokens,
        rule=sampling.sample(*penalties, *transforms),
        eos_ids=_eos_ids(directory),
        stops=stop,
        skip_long=skip_long,
        settings={"repetition_penalty": repetition_penalty, **chosen},
        num_slots=slots,
        sharding=sharding.batch_sharding(mesh, rules),
    )
    skipped = f", {report.skipped} prompts too long" if report.skipped else ""
    print(f"wrote {report.written} samples to {out}, which held {report.found}{skipped}")


def _load(directory: pathlib.Path, mesh, rules):
    """Parameters in the dtype that they are multiplied in, each on its devices."""
    config = hf.read_config(directory)
    tokens = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    plain = models.build(dataclasses.replace(config, attention="xla"))
    shapes = jax.eval_shape(plain.init, jax.random.key(0), tokens)["params"]
    return hf.load_pretrained(directory, dtype=config.dtype, shardings=sharding.param_shardings(shapes, mesh, rules))


def _eos_ids(directory: pathlib.Path) -> list[int]:
    """Tokens that end a text beside the tokenizer's own: a chat model's end of turn, for instance."""
    return hf.end_ids(directory)


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
