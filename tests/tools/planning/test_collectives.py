"""Collectives counted in HLO text by hand, and in programs whose collectives are known."""

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import AxisType, PartitionSpec

from tools.planning.collectives import count_collectives

MODULE = """HloModule m

%sum (a: f32[], b: f32[]) -> f32[] {{
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %add = f32[] add(%a, %b)
}}

{computations}

ENTRY %main (x: f32[8]) -> f32[8] {{
  %x = f32[8]{{0}} parameter(0)
{entry}
}}
"""
SUM = "all-reduce(%x), channel_id=1, replica_groups={{0,1},{2,3}}, to_apply=%sum"


def count(entry: str, computations: str = "", devices: int = 4):
    return count_collectives(MODULE.format(entry=entry, computations=computations), devices)


def sent(*arguments, **options) -> dict[str, tuple[int, float]]:
    """Count and bytes of the kinds that occur."""
    return {kind: tuple(found) for kind, found in count(*arguments, **options).traffic.items() if found.count}


# Over 4 chips, an array of 32 bytes: a ring passes on 3 / 4 of it.
@pytest.mark.parametrize(
    ("line", "kind", "expected"),
    [
        ("f32[8] all-gather(%x), replica_groups={{0,1,2,3}}, dimensions={0}", "all-gather", 24),
        ("f32[2] reduce-scatter(%x), replica_groups=[1,4]<=[4], to_apply=%sum", "reduce-scatter", 24),
        ("f32[8] all-reduce(%x), replica_groups={}, to_apply=%sum", "all-reduce", 48),
        ("(f32[4], f32[4]) all-reduce(%x, %x), replica_groups={{0,2},{1,3}}, to_apply=%sum", "all-reduce", 32),
        ("(f32[2], f32[2], f32[2], f32[2]) all-to-all(%x), replica_groups={{0,1,2,3}}", "all-to-all", 24),
        ("f32[8] collective-permute(%x), source_target_pairs={{0,1},{1,0}}", "collective-permute", 32),
        ("f32[8] all-gather(%x), replica_groups=mesh['a'=2,'b'=4] {'a'}, dimensions={0}", "all-gather", 16),
        ("f32[8] all-gather(%x), replica_groups=mesh['a'=2,'b'=8] {'a','b':(1)2}, dimensions={0}", "all-gather", 24),
        ("f32[8] all-gather(%x), replica_groups=[2,2]<=[2,2]T(1,0), dimensions={0}", "all-gather", 16),
    ],
)
def test_each_kind_by_hand(line, kind, expected):
    assert sent(f"  ROOT %c = {line}") == {kind: (1, expected)}


@pytest.mark.parametrize(
    ("type_", "kind", "expected"),
    [
        ("(f32[2], f32[8])", "all-gather", 24),
        ("((f32[2], bf16[2]), (f32[8], bf16[8]))", "all-gather", 36),
        ("f32[8]", "all-reduce", 48),
        ("((f32[8]), f32[2], u32[])", "reduce-scatter", 24),
        ("(f32[8], f32[8], u32[], u32[])", "collective-permute", 32),
    ],
)
def test_async_pairs_are_one(type_, kind, expected):
    lines = f"  %s = {type_} {kind}-start(%x), replica_groups={{{{0,1,2,3}}}}\n  ROOT %d = f32[8] {kind}-done(%s)"
    assert sent(lines) == {kind: (1, expected)}


def test_nested_loops_multiply():
    """An all-reduce of 32 bytes over pairs, 32 sent, in a loop of 3 inside one of 5; one more outside."""
    loops = f"""
%inner (p: (s32[], f32[8])) -> (s32[], f32[8]) {{
  %x = f32[8] get-tuple-element(%p), index=1
  %r = f32[8] {SUM}
  %k = s32[] get-tuple-element(%p), index=0
  %one = s32[] constant(1)
  %next = s32[] add(%k, %one)
  ROOT %after = (s32[], f32[8]) tuple(%next, %r)
}}
%until_3 (p: (s32[], f32[8])) -> pred[] {{
  %three = s32[] constant(3)
  %i = s32[] get-tuple-element(%p), index=0
  ROOT %lt = pred[] compare(%i, %three), direction=LT
}}
%outer (p: (s32[], f32[8])) -> (s32[], f32[8]) {{
  %zero = s32[] constant(0)
  %y = f32[8] get-tuple-element(%p), index=1
  %t = (s32[], f32[8]) tuple(%zero, %y)
  ROOT %w = (s32[], f32[8]) while(%t), condition=%until_3, body=%inner
}}"""
    entry = f"""  %r = f32[8] {SUM}
  ROOT %w = (s32[], f32[8]) while(%x), condition=%any, body=%outer, backend_config={{"known_trip_count":{{"n":"5"}}}}"""
    assert sent(entry, loops + "\n%any (p: f32[]) -> pred[] {\n  ROOT %p = pred[] parameter(0)\n}") == {
        "all-reduce": (16, 16 * 32.0)
    }


def test_a_loop_of_unknown_length_is_said():
    body = f"%b (x: f32[8]) -> f32[8] {{\n  %x = f32[8] parameter(0)\n  ROOT %r = f32[8] {SUM}\n}}"
    condition = "%c (x: f32[8]) -> pred[] {\n  ROOT %p = pred[] custom-call()\n}"
    found = count("  ROOT %w = f32[8] while(%x), condition=%c, body=%b", body + "\n" + condition)
    assert (found.unknown_loops, found.traffic["all-reduce"].count, found.sent) == (1, 1, 32)


@pytest.mark.parametrize(
    "call", ["fusion(%x), kind=kLoop, calls=%f", "call(%x), to_apply=%f", "call-start(%x), to_apply=%f"]
)
def test_called_computations_count(call):
    called = f"%f (x: f32[8]) -> f32[8] {{\n  %x = f32[8] parameter(0)\n  ROOT %r = f32[8] {SUM}\n}}"
    assert sent(f"  ROOT %r = f32[8] {call}", called) == {"all-reduce": (1, 32)}


def test_the_costlier_branch_counts():
    branches = f"""
%some (x: f32[8]) -> f32[8] {{
  %x = f32[8] parameter(0)
  ROOT %r = f32[8] {SUM}
}}
%none (x: f32[8]) -> f32[8] {{
  ROOT %x = f32[8] parameter(0)
}}"""
    assert sent("  ROOT %r = f32[8] conditional(%i, %x, %x), branch_computations={%none, %some}", branches) == {
        "all-reduce": (1, 32)
    }


def test_a_tpu_s_sum_of_which_each_chip_keeps_a_part_is_a_reduce_scatter():
    called = "%all-reduce-scatter.1 (x: f32[8]) -> f32[4] {\n  %r = f32[8] " + SUM + "\n  ROOT %s = f32[4] slice(%r)\n}"
    entry = "  ROOT %r = f32[4] fusion(%x), kind=kCustom, calls=%all-reduce-scatter.1"
    assert sent(entry, called) == {"reduce-scatter": (1, 16)}


def test_a_tpu_s_gather_in_pieces_is_one():
    piece = """%piece.{0} (x: f32[8]) -> f32[8] {{
  ROOT %g.{0} = f32[8] all-gather(%x), replica_groups={{{{0,1,2,3}}}}, backend_config={{{1}}}
}}"""
    flag = '"async_collective_fusion_config":{{"flag_start":"{}","flag_end":"8"}}'
    called = "\n".join([piece.format(i, flag.format(start)) for i, start in ((1, -1), (2, 2), (3, 0))])
    entry = "\n".join(f"  %f.{i} = f32[8] fusion(%x), kind=kOutput, calls=%piece.{i}" for i in (1, 2, 3))
    assert sent(entry, called) == {"all-gather": (1, 24)}


def on_devices(fn, argument):
    """The program of ``fn`` on shards of its argument over the 8 devices."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    shards = jax.shard_map(fn, mesh=mesh, in_specs=PartitionSpec("x"), out_specs=PartitionSpec("x"), check_vma=False)
    return count_collectives(jax.jit(shards).lower(argument).compile().as_text(), 8)


def test_sums_in_compiled_loops():
    """Shards of 16 floats, 64 bytes: a ring sends 2 x 7 / 8 of that, 5 times in one loop and 2 x 3 in nested ones."""

    def inner(x, _):
        return jnp.sin(jax.lax.psum(x, "x")), None

    def outer(x, _):
        return jax.lax.scan(inner, x, length=3)[0], None

    def fn(x):
        x = jax.lax.scan(inner, x, length=5)[0]
        return jax.lax.scan(outer, x, length=2)[0]

    found = on_devices(fn, jnp.ones(128))
    assert found.traffic["all-reduce"] == (11, 11 * 2 * 7 / 8 * 64)
    assert (found.sent, found.unknown_loops) == (found.traffic["all-reduce"].sent, 0)


def test_a_compiled_gather():
    found = on_devices(lambda x: jnp.sin(jax.lax.all_gather(x, "x")).sum(axis=0), jnp.ones(128))
    assert found.traffic["all-gather"] == (1, 7 / 8 * 8 * 64)
