"""Networks to compare: which tasks one has, and what an ablation takes from it."""

import functools
import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
from jaxtyping import Array

from experiments.hemenet.task import ProteinWorld, labelled
from jaxalign import protein, training
from jaxalign.io.protein_model import save_protein
from jaxalign.io.run import loop
from jaxalign.protein.objective import CLASS_WEIGHT

if TYPE_CHECKING:
    from experiments.hemenet.__main__ import Config

NUM_SIZES = 2  # of batches: a full one, and half of it for what is left of a pass
STATISTICS_BATCHES = 64  # at most, for the batch norms


def published(config: "Config", **changes: object) -> protein.HemenetConfig:
    """Returns HeMeNet's encoder in the size of the run."""
    sizes = {name: getattr(config, name) for name in ("num_layers", "width", "edge_width", "dropout")}
    return protein.HemenetConfig(**sizes | changes)


def tensor_field(config: "Config") -> protein.TensorFieldConfig:
    """Returns the higher-order encoder with as many layers and half as many invariants a layer."""
    multiples = {"0e": 2, "0o": 6, "1o": 6, "1e": 6, "2e": 12}
    irreps = " + ".join(f"{config.width // part}x{kind}" for kind, part in multiples.items())
    return protein.TensorFieldConfig(num_layers=config.num_layers, irreps=irreps, dropout=config.dropout)


class Method(NamedTuple):
    """A row of the tables.

    Attributes:
      encoder_fn: makes the encoder of the run's size.
      network: other settings of the network.
      alpha_carbons: takes all atoms but these.
      one_task_each: trains a network for every task instead of one for all, on the proteins that have its labels.
      equal_cost: these networks share the updates that one for all would have.
    """

    encoder_fn: Callable[["Config"], protein.HemenetConfig | protein.TensorFieldConfig] = published
    network: Mapping[str, object] = {}
    alpha_carbons: bool = False
    one_task_each: bool = False
    equal_cost: bool = False


_UNORDERED = functools.partial(published, heterogeneous=False)
METHODS = {
    "multi-task": Method(),
    "single-task": Method(one_task_each=True),
    "single-task at equal cost": Method(one_task_each=True, equal_cost=True),
    "no heterogeneity": Method(_UNORDERED),
    "alpha-carbons": Method(functools.partial(published, num_channels=1), alpha_carbons=True),
    "alpha-carbons without heterogeneity": Method(functools.partial(_UNORDERED, num_channels=1), alpha_carbons=True),
    "no task-aware readout": Method(network={"task_aware": False}),
    "tensor field": Method(tensor_field),
}


class Updates(NamedTuple):
    """What a method is trained for.

    Attributes:
      networks: how many.
      of_each: updates of one network.
    """

    networks: int
    of_each: int


def updates(config: "Config", method: Method, num_tasks: int) -> Updates:
    """Returns how many networks a method has, and how many updates each of them gets."""
    if not method.one_task_each:
        return Updates(1, config.steps)
    return Updates(num_tasks, max(config.steps // num_tasks, 1) if method.equal_cost else config.steps)


class Trained(NamedTuple):
    """A network that has learnt."""

    network: protein.ProteinNetwork
    variables: dict


def learn(
    config: "Config",
    method: Method,
    world: ProteinWorld,
    directory: pathlib.Path,
    key: Array,
    sizes: Sequence[protein.BatchSize],
) -> list[Trained]:
    """Trains the networks of a method, one or one a task, each kept in a folder of its own."""
    steps = updates(config, method, len(world.tasks)).of_each
    if not method.one_task_each:
        return [train(config, method, world, world.tasks, directory, key, sizes, steps)]
    networks = []
    for number, task in enumerate(world.tasks):
        known = world._replace(train=labelled(world.train, task))
        own_key = jax.random.fold_in(key, number)
        networks.append(train(config, method, known, (task,), directory / task.name, own_key, sizes, steps))
    return networks


def train(
    config: "Config",
    method: Method,
    world: ProteinWorld,
    tasks: tuple[protein.Task, ...],
    directory: pathlib.Path,
    key: Array,
    sizes: Sequence[protein.BatchSize],
    steps: int,
) -> Trained:
    """Trains by Adam with clipping at 10, as in the paper; the rate falls linearly instead of at plateaus."""
    network = protein.ProteinNetwork(
        protein.ProteinConfig(method.encoder_fn(config), tasks, config.num_heads, **method.network)
    )
    init_key, train_key = jax.random.split(key)
    first = next(protein.batches_in_order([world.train[0]], tasks, sizes))
    params = _init(network, init_key, first.graphs)["params"]
    step, optimizer = _make_step(network, steps, config.learning_rate)
    state = loop.fit(
        step,
        training.init_state(params, optimizer),
        protein.labelled_batches(world.train, tasks, sizes),
        key=train_key,
        num_steps=steps,
        directory=directory,
        checkpoint_every=max(steps // 4, 1),
    )
    counted = itertools.islice(protein.batches_in_order(world.train, tasks, sizes), STATISTICS_BATCHES)
    variables = {"params": state.params, "batch_stats": protein.population_statistics(network, state.params, counted)}
    classes = {task.name: world.classes[task.name] for task in tasks if task.name in world.classes}
    save_protein(directory / "model", network.config, variables, classes)
    return Trained(network, variables)


@functools.partial(jax.jit, static_argnums=0)
def _init(network: protein.ProteinNetwork, key: Array, graphs: protein.GraphBatch):
    return network.init(key, graphs)


@functools.lru_cache(maxsize=16)
def _make_step(network: protein.ProteinNetwork, num_steps: int, learning_rate: float):
    """Returns a step and its optimizer, for networks of one shape the same, so that all seeds train by one program."""
    warmup_steps = min(num_steps // 20, 1000)
    schedule = training.linear_schedule(learning_rate, num_steps=num_steps, warmup_steps=warmup_steps)
    optimizer = training.adamw(schedule, clip_norm=10.0)
    loss_fn = protein.make_protein_loss(network, class_weight=CLASS_WEIGHT)
    return training.make_train_step(loss_fn, optimizer), optimizer
