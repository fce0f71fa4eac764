"""What chips exchange in a step, counted in the text of the compiled program."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from tools.planning import hlo

KINDS = ("all-gather", "reduce-scatter", "all-reduce", "collective-permute", "all-to-all")
CONVENTION = (
    "Bytes are those that a chip sends in one step, over rings: of the whole array, (n - 1) / n for all-gather,",
    "reduce-scatter and all-to-all over n chips, twice that for all-reduce, all of it for collective-permute.",
)
# A collective that TPU programs run piece by piece beside products, here or in loops: every piece names the whole, and
# the flag of the first is -1.
LATER_PIECE = re.compile(r'"async_collective_fusion_config":\{"flag_start":"\d')
# One call of a TPU program that leaves each chip its part of the sum.
ALL_REDUCE_SCATTER = "all-reduce-scatter"


class Event(NamedTuple):
    """Collectives of one kind: over ``group`` chips an array of ``size`` bytes (whole, over all), ``times`` a step."""

    kind: str
    size: int
    group: int
    times: int = 1

    @property
    def sent(self) -> float:
        """Bytes that a chip sends."""
        share = (self.group - 1) / self.group
        factor = {"all-reduce": 2 * share, "collective-permute": 1}.get(self.kind, share)
        return self.times * self.size * factor


class Traffic(NamedTuple):
    """How many collectives, and bytes that a chip sends."""

    count: int
    sent: float


class Collectives(NamedTuple):
    """The collectives of one step by kind, and loops counted once, since their length is not in the program."""

    traffic: dict[str, Traffic]
    unknown_loops: int

    @property
    def sent(self) -> float:
        return sum(traffic.sent for traffic in self.traffic.values())


def count_collectives(text: str, num_devices: int) -> Collectives:
    """Collectives of a program, each as often as the loops around it run.

    Async pairs are one, and so is a collective in pieces. Of a conditional the branch that sends most is counted.
    """
    module = hlo.parse_module(text)
    walk = _Walk(module, num_devices)
    events = walk.events(module.entry)
    traffic = {kind: Traffic(0, 0.0) for kind in KINDS}
    for event in events:
        count, sent = traffic[event.kind]
        traffic[event.kind] = Traffic(count + event.times, sent + event.sent)
    return Collectives(traffic, walk.unknown_loops)


class _Walk:
    def __init__(self, module: hlo.Module, num_devices: int):
        self.module, self.num_devices, self.unknown_loops = module, num_devices, 0

    def events(self, name: str) -> list[Event]:
        """Lists the collectives of one run of the computation ``name``."""
        computation = self.module.computations[name]
        return [
            event
            for instruction in computation.instructions.values()
            for event in self._of_instruction(computation, instruction)
        ]

    def _of_instruction(self, computation, instruction: hlo.Instruction) -> Iterator[Event]:
        opcode = instruction.opcode.removesuffix("-start")
        if opcode in KINDS:
            if not LATER_PIECE.search(instruction.attributes):
                yield _event(instruction, self.num_devices)
        elif opcode == "while":
            times = hlo.trip_count(self.module, computation, instruction)
            self.unknown_loops += times is None
            for body in instruction.called("body", "condition"):
                for event in self.events(body):
                    yield event._replace(times=event.times * (1 if times is None else times))
        elif opcode == "conditional":
            roles = "branch_computations", "true_computation", "false_computation"
            branches = [self.events(name) for name in instruction.called(*roles)]
            yield from max(branches, key=lambda events: sum(event.sent for event in events))
        elif opcode in ("fusion", "call", "async", "custom-call"):
            for name in instruction.called("calls", "to_apply", "called_computations"):
                for event in self.events(name):
                    scattered = ALL_REDUCE_SCATTER in name and event.kind == "all-reduce"
                    yield event._replace(kind="reduce-scatter") if scattered else event


def _event(instruction: hlo.Instruction, num_devices: int) -> Event:
    kind = instruction.opcode.removesuffix("-start")
    group = _group_size(instruction.attributes, num_devices)
    parts = hlo.tuple_elements(instruction.type)
    if instruction.opcode.endswith("-start") and kind != "all-reduce":
        parts = parts[1:2]  # of what goes in, what comes out, and perhaps semaphores
    size = sum(map(hlo.type_bytes, parts)) * (group if kind == "reduce-scatter" else 1)
    return Event(kind, size, group)


def _group_size(attributes: str, num_devices: int) -> int:
    """Chips that take part in one collective: ``{{0,1},{2,3}}``, ``[2,4]<=[8]``, or axes of a mesh."""
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\] \{([^}]*)\}", attributes):
        sizes = {axis: int(size) for axis, size in re.findall(r"'([^']+)'=(\d+)", mesh[1])}
        return math.prod(_axis_size(sizes, axis) for axis in re.findall(r"'[^']+'(?::\(\d+\)\d+)?", mesh[2]))
    if tiled := re.search(r"replica_groups=\[(\d+),(\d+)\]<=", attributes):
        return int(tiled[2])
    listed = re.search(r"replica_groups=\{\{([\d, ]*)\}", attributes)
    return len(listed[1].split(",")) if listed and listed[1] else num_devices


def _axis_size(sizes: dict[str, int], axis: str) -> int:
    """Returns the size of ``'x'``, or of the part that ``'x':(1)4`` names (4 chips, the axis split after 1)."""
    name, _, part = axis.partition(":")
    return int(part.split(")")[1]) if part else sizes[name.strip("'")]
