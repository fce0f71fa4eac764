"""What an experiment runs on: processes that form one run, and a mesh over all their devices.

Training is one program on the complete mesh. Between two trainings each process has its own copy of the parameters,
laid out over its own devices: what is cheap all do alike, sampling and scoring are dealt out
(:mod:`jaxalign.io.cluster.processes`), and process 0 alone writes files and prints.
"""

import contextlib
import contextvars
import dataclasses
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import tyro
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from experiments.common import fields
from experiments.common.pretrained import Rates, defaults
from jaxalign import models, sharding
from jaxalign.data import EncodedLists
from jaxalign.io.cluster import launch
from jaxalign.typing import Params

RULES = sharding.Rules(models.LOGICAL_AXES)
Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True)
class Machines:
    """Flags of every experiment. They change results by rounding only, so a run may go on with others."""

    mesh: tuple[int, int, int, int] = (1, -1, 1, 1)  # devices along data, fsdp, context, tensor; -1: all the others
    coordinator: str | None = None  # HOST:PORT of process 0, where no cluster says it; then also the two that follow
    num_processes: int | None = None  # of the run
    process_id: int | None = None  # of this process, from 0


@dataclasses.dataclass(frozen=True)
class Command(Generic[Config]):
    """What a command line says."""

    config: Config
    machines: Machines


class Launch(NamedTuple):
    """What a command line says beside the config; the defaults are those of a ``main`` that a program calls."""

    preset: str | None = None
    mesh: tuple[int, int, int, int] = Machines().mesh


_NOTHING = Launch()
_launch: contextvars.ContextVar[Launch] = contextvars.ContextVar("launch", default=_NOTHING)


def current_launch() -> Launch:
    """Returns what the command line says that started what is running."""
    return _launch.get()


@contextlib.contextmanager
def launched_as(said: Launch) -> Iterator[None]:
    """Makes :func:`current_launch` return this inside, and gives :func:`mesh` its sizes."""
    before = _launch.set(said)
    try:
        yield
    finally:
        _launch.reset(before)


def run(
    main: Callable[[Any], Any], presets: Mapping[str, Any], description: str = "", rates: Rates | None = None
) -> None:
    """Runs ``main(config)`` as the command line says, ``[PRESET] [--field VALUE ...]``, in one or many processes.

    Args:
      description: what ``--help`` begins with: the docstring of the experiment.
      rates: the learning rates of a pretrained start, unless the command line has others.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(render_help(description, presets), flush=True)
    config, machines = command_line(presets, sys.argv[1:], rates)
    launch.initialize(
        coordinator=machines.coordinator, num_processes=machines.num_processes, process_id=machines.process_id
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(launched_as(Launch(preset_name(presets, sys.argv[1:]), machines.mesh)))
        if not launch.is_main():
            stack.enter_context(contextlib.redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
        main(config)


def run_alone(
    main: Callable[[Any], Any], presets: Mapping[str, Any], description: str = "", rates: Rates | None = None
) -> None:
    """Does what :func:`run` does, for experiments that have nothing to share out.

    Raises:
      ValueError: there is more than one process, or a mesh is asked for.
    """

    def alone(config: Any) -> Any:
        if jax.process_count() > 1:
            raise ValueError(f"this experiment runs in one process, and there are {jax.process_count()}; start one")
        if current_launch().mesh != Machines().mesh:
            raise ValueError(
                f"this experiment has nothing to lay out over a mesh, got --mesh {current_launch().mesh}; leave it out"
            )
        return main(config)

    run(alone, presets, description, rates)


def command_line(presets: Mapping[str, Any], arguments: list[str], rates: Rates | None = None) -> tuple[Any, Machines]:
    """Returns the config of a preset, by default the first, with fields changed by flags, and what it runs on."""
    name = preset_name(presets, arguments)
    preset, flags = presets[name], arguments[_names_preset(arguments) :]
    command = _parse(name, preset, flags)
    fitting = defaults(preset, command.config, rates)
    if fitting != preset:
        changed = {field: value for field, value in fields.flat(fitting).items() if value != fields.flat(preset)[field]}
        said = ", ".join(f"--{field.replace('_', '-')} {_shown(value)}" for field, value in changed.items())
        print(f"defaults of a pretrained start: {said}", file=sys.stderr, flush=True)
        command = _parse(name, fitting, flags)
    return command.config, command.machines


def _parse(name: str, preset: Any, flags: list[str]) -> Command:
    return tyro.cli(
        Command[type(preset)],
        default=Command(preset, Machines()),
        args=flags,
        prog=f"./tools/run {_module()} {name}",
        description=f"Every field of the preset {name} is a flag; its values are the defaults.",
        config=(tyro.conf.OmitArgPrefixes,),
    )


def preset_name(presets: Mapping[str, Any], arguments: list[str]) -> str:
    """Returns the preset that a command line names, by default the first.

    Raises:
      SystemExit: there is none of that name.
    """
    name = arguments[0] if _names_preset(arguments) else next(iter(presets))
    if name not in presets:
        sys.exit(f"unknown preset {name!r}; there are {', '.join(presets)}")
    return name


def render_help(description: str, presets: Mapping[str, Any]) -> str:
    """Returns what the experiment does, and its presets, each with what it changes of the first one."""
    first = next(iter(presets))
    lines = [description.strip(), "", f"Presets, by default {first}, of which the others change:", ""]
    width = max(map(len, presets))
    for name, config in presets.items():
        changed = [
            f"{field.replace('_', '-')} {_shown(value)}"
            for field, value in fields.flat(config).items()
            if value != fields.flat(presets[first])[field] and field != "output"
        ]
        lines.append(
            f"    {name:{width}}  {textwrap.shorten('; '.join(changed) or 'nothing', 110, placeholder=' ...')}"
        )
    return "\n".join(lines) + "\n"


def _module() -> str:
    """Returns what was started, as ``python -m`` takes it."""
    spec = sys.modules["__main__"].__spec__
    return "EXPERIMENT" if spec is None else spec.name.removesuffix(".__main__")


def _names_preset(arguments: list[str]) -> bool:
    return bool(arguments) and not arguments[0].startswith("-")


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def mesh() -> Mesh:
    """Returns the mesh of the run, over the devices of all processes."""
    return sharding.make_mesh(**dict(zip(sharding.MESH_AXES, current_launch().mesh, strict=True)))


def share() -> dict[str, int]:
    """Returns which part of each batch this process prepares."""
    index, count = sharding.process_share(mesh(), RULES)
    return {"process_index": index, "process_count": count}


def even(lists: EncodedLists) -> EncodedLists:
    """Pads lists to lengths which the context axis divides."""
    return dataclasses.replace(lists, limits=tuple(map(even_length, lists.limits)))


def even_length(length: int) -> int:
    """Returns the next length that the context axis divides."""
    size = mesh().shape["context"]
    return -(-length // size) * size


def everywhere(params: Params) -> Params:
    """Lays parameters of which each process has a copy out over the complete mesh: arguments of a training step."""
    return sharding.place(params, sharding.param_shardings(params, mesh(), RULES))


def here(params: Params) -> Params:
    """Lays parameters that lie on the complete mesh out over the devices of each process."""
    if jax.process_count() == 1:
        return params
    complete = jax.tree.map(lambda leaf: multihost_utils.process_allgather(leaf, tiled=True), params)
    return sharding.place(complete, sharding.param_shardings(complete, mesh().local_mesh, RULES))
