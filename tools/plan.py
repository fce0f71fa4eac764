"""What a training step needs on accelerators that are not here: ``./tools/run tools.plan --topology v5e:4x4 ...``.

The real step is compiled ahead of time from shapes alone, for TPUs by libtpu (``v5e:4x4``: a grid of chips); for GPUs
(``h100:8``) sizes are exact and the rest comes from a compile for as many TPUs, see the output. Printed are memory and
what fills it, FLOP, collectives, and bounds on the time. With several topologies, a table with a row for each.
"""

from collections.abc import Iterable
from typing import Literal

import jax
import tyro

from jaxalign.io import edge
from jaxalign.sharding import describe_shardings
from tools.benchmarks.measure import render_row
from tools.model_shapes import find_model
from tools.planning import largest, report
from tools.planning.clusters import find_cluster
from tools.planning.plans import MeshSizes, Plan, make_plan
from tools.planning.steps import OptimizerName, Setup, row_unit
from tools.planning.workloads import PAIRS, StepName, Workload


def main(
    topology: tuple[str, ...],
    model: str = "gemma-2-9b",
    step: StepName = "lipo",
    batch: int | None = None,
    prompt: int = 512,
    response: int = 128,
    list_size: int | None = None,
    row_examples: int = 1,
    accumulate: int = 1,
    optimizer: OptimizerName = "adamw",
    remat: Literal["none", "dots", "full"] = "full",
    data: int = 1,
    fsdp: int = -1,
    context: int = 1,
    tensor: int = 1,
    largest_batch: bool = False,
    shardings: bool = False,
) -> None:
    """Plan a training step.

    Args:
      topology: a TPU and its grid of chips, such as v5e:4x4 or v5p:4x4x4, or a GPU and how many, such as h100:8.
      model: a name such as gemma-2-9b, qwen3-8b or llama-3.1-70b, or a directory with a config.json.
      step: sft on packed rows, dpo on pairs, lipo on lists, or a reward model on pairs.
      batch: lists or rows in a step, over all devices and microbatches; by default one for each shard of rows in each
        microbatch.
      prompt: tokens.
      response: tokens.
      list_size: responses of a list; by default 8, and 2 where the step takes pairs.
      row_examples: examples of prompt and response in a packed row.
      accumulate: microbatches.
      optimizer: which one.
      remat: what backward recomputes.
      data: devices that share the rows of the batch and nothing else; -1: what the other axes leave.
      fsdp: devices that share rows and parameters.
      context: devices that share the tokens of a row.
      tensor: devices that share heads, hidden units and the vocabulary.
      largest_batch: search the largest batch that fits, in some four compiles.
      shardings: print where every array of the state lies.
    """
    counts = {"batch": batch, "prompt": prompt, "response": response, "list_size": list_size}
    edge.check_least(1, **counts, row_examples=row_examples, accumulate=accumulate)
    # Everything is compiled for other devices; those that may be here are left alone.
    jax.config.update("jax_platforms", "cpu")
    config = find_model(model, remat=remat)
    if step in PAIRS and list_size not in (None, 2):
        raise ValueError(f"a {step} step takes pairs, which are lists of 2; got list_size={list_size}, leave it out")
    workload = Workload(step, 0, prompt, response, list_size or (2 if step in PAIRS else 8), row_examples)
    setup, sizes = Setup(config, workload, optimizer, accumulate), MeshSizes(data, fsdp, context, tensor)
    plans = (_plan(setup, name, sizes, batch) for name in topology)
    if len(topology) > 1:
        _print_scaling(plans)
        return
    (plan,) = plans
    print(report.render_plan(plan, model), flush=True)
    if shardings:
        print(f"\n{describe_shardings(plan.layout.state, plan.layout.state_shardings)}", flush=True)
    if largest_batch:
        print(f"\n{search_batch(plan, sizes)}")


def _plan(setup: Setup, topology: str, sizes: MeshSizes, batch: int | None) -> Plan:
    cluster = find_cluster(topology)
    batch = row_unit(setup.accumulate, sizes.shape(cluster.count)) if batch is None else batch
    return make_plan(setup.with_batch(batch), cluster, sizes)


def _print_scaling(plans: Iterable[Plan]):
    """A row as each compile ends, since each takes up to minutes."""
    print(render_row(report.SCALING_HEADER))
    print(render_row(["---"] * len(report.SCALING_HEADER)))
    for plan in plans:
        print(render_row(report.scaling_row(plan)), flush=True)


def search_batch(plan: Plan, sizes: MeshSizes) -> str:
    """The largest batch that fits, as a table."""
    unit = row_unit(plan.setup.accumulate, plan.mesh_shape)

    def need_fn(batch: int) -> largest.Need:
        tried = make_plan(plan.setup.with_batch(batch), plan.cluster, sizes)
        return largest.Need(tried.needed, bool(tried.fits))

    found = largest.largest_batch(need_fn, unit, round(plan.cluster.peaks.memory))
    return report.render_largest(*found, unit)


if __name__ == "__main__":
    edge.explain_errors()
    tyro.cli(main, prog=f"./tools/run {__spec__.name}", description=__doc__)
