"""The text of a compiled program (HLO), as far as plans read it: computations, instructions, sizes, loops."""

import math
import re
from typing import NamedTuple

HEADER = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = (.*)$")
CALLED = re.compile(r"\b(calls|to_apply|body|condition|\w+_computations?)=(\{[^}]*\}|%?[\w.-]+)")
SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\]")
NAME = re.compile(r"%([\w.-]+)")
TRIP_COUNT = re.compile(r'"known_trip_count":\s*\{"n":\s*"(\d+)"')
WIDTH = re.compile(r"^(?:bf|f|s|u|c)(\d+)")
# Whether "i compared with the limit" is true says so for how many i from the start on.
TRIPS = {"LT": 0, "LE": 1, "NE": 0}


class Instruction(NamedTuple):
    """One line: ``name = type opcode(operands), attributes``."""

    name: str
    type: str
    opcode: str
    operands: tuple[str, ...]
    arguments: str  # what stands between the parentheses, as text: a constant's value, a parameter's number
    attributes: str

    def called(self, *roles: str) -> list[str]:
        """The computations that it names as one of ``roles``, such as ``"body"``."""
        found = (names for role, names in CALLED.findall(self.attributes) if role in roles)
        return [name for names in found for name in re.findall(r"[\w.-]+", names)]


class Computation(NamedTuple):
    """Instructions by name, and the one whose value is the result."""

    instructions: dict[str, Instruction]
    root: Instruction


class Module(NamedTuple):
    """A program."""

    computations: dict[str, Computation]
    entry: str


def parse_module(text: str) -> Module:
    """The program that ``jax.stages.Compiled.as_text`` prints.

    Raises:
      ValueError: there is no entry computation.
    """
    computations, entry, lines = {}, None, iter(text.splitlines())
    for line in lines:
        if header := HEADER.match(line):
            name = header[2]
            entry = name if header[1] else entry
            computations[name] = _parse_computation(lines)
    if entry is None:
        raise ValueError("no ENTRY computation in this text; pass what Compiled.as_text() of a whole program returns")
    return Module(computations, entry)


def type_bytes(type_: str) -> int:
    """Bytes of an array or of all arrays of a tuple, layouts' padding left out.

    >>> type_bytes("(bf16[4,8]{1,0:T(8,128)}, pred[], u32[2])")
    73
    """
    return sum(_width(dtype) * math.prod(_dimensions(shape)) for dtype, shape in SHAPE.findall(type_)) // 8


def tuple_elements(type_: str) -> list[str]:
    """The types in a tuple's type; an array is its only element."""
    if not type_.startswith("("):
        return [type_]
    elements, depth, start = [], 0, 1
    for place, character in enumerate(type_):
        depth += (character in "([{") - (character in ")]}")
        if (depth, character) == (1, ",") or depth == 0:
            elements.append(type_[start:place].strip())
            start = place + 1
    return [re.sub(r"/\*.*?\*/", "", element).strip() for element in elements if element]


def trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
    """How often the body of a ``while`` runs: as its attributes say, or from the constants in its condition.

    A condition of the form "element i of the state < constant" is read, the step being 1, as in loops of
    ``jax.lax``. None: it is of another form.
    """
    if known := TRIP_COUNT.search(loop.attributes):
        return int(known[1])
    condition = module.computations[loop.called("condition")[0]]
    compare, scope = condition.root, condition
    arguments: dict[str, Instruction] = {}
    if compare.opcode == "fusion":
        scope = module.computations[compare.called("calls")[0]]
        given = [condition.instructions[name] for name in compare.operands]
        arguments = {i.name: given[int(i.arguments)] for i in scope.instructions.values() if i.opcode == "parameter"}
        compare = scope.root
    direction = re.search(r"direction=(\w+)", compare.attributes)
    if compare.opcode != "compare" or direction[1] not in TRIPS:
        return None
    counter, limit = (arguments.get(name, scope.instructions[name]) for name in compare.operands)
    start = _initial_value(computation, loop, counter)
    if start is None or limit.opcode != "constant":
        return None
    return max(int(limit.arguments) - start + TRIPS[direction[1]], 0)


def _initial_value(computation, loop, counter) -> int | None:
    """The constant with which the loop's counter, an element of its state, starts."""
    index = re.search(r"index=(\d+)", counter.attributes)
    state = computation.instructions.get(loop.operands[0])
    if counter.opcode != "get-tuple-element" or state is None or state.opcode != "tuple":
        return None
    value = computation.instructions[state.operands[int(index[1])]]
    while value.opcode in ("copy", "bitcast"):
        value = computation.instructions[value.operands[0]]
    return int(value.arguments) if value.opcode == "constant" else None


def _parse_computation(lines) -> Computation:
    instructions, root = {}, None
    for line in lines:
        if line.startswith("}"):
            break
        if found := INSTRUCTION.match(line):
            instruction = _parse_instruction(found[2], found[3])
            instructions[instruction.name] = instruction
            root = instruction if found[1] or root is None else root
    return Computation(instructions, root)


def _parse_instruction(name: str, text: str) -> Instruction:
    end = _closing(text, 0) if text.startswith("(") else text.index(" ")
    type_, rest = text[:end], text[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    arguments = rest[opening + 1 : closing - 1]
    return Instruction(name, type_, rest[:opening], tuple(NAME.findall(arguments)), arguments, rest[closing:])


def _closing(text: str, start: int) -> int:
    """The place behind the parenthesis that closes the one at ``start``."""
    depth = 0
    for place in re.finditer(r"[()]", text[start:]):
        depth += 1 if place[0] == "(" else -1
        if depth == 0:
            return start + place.end()
    raise ValueError(f"unbalanced parentheses in {text[:200]!r}")


def _width(dtype: str) -> int:
    """Bits of an element, 0 of what is no number (tokens)."""
    width = WIDTH.match(dtype)
    return int(width[1]) if width else 8 if dtype == "pred" else 0


def _dimensions(shape: str) -> list[int]:
    return [int(size.removeprefix("<=")) for size in shape.split(",") if size]
