"""A plan as text: Markdown tables, with what each number means."""

from tools.benchmarks.flops import executed_flops
from tools.benchmarks.measure import Table
from tools.planning import collectives, roofline
from tools.planning.largest import Need
from tools.planning.plans import Plan

GIB = 2**30
SCALING_HEADER = (
    "topology",
    "devices",
    "mesh",
    "batch",
    "state GiB",
    "temporaries GiB",
    "needs GiB",
    "sent GB / device",
    "compute ms",
    "memory ms",
    "interconnect ms",
    "full to no overlap ms",
    "MFU",
)


def render_plan(plan: Plan, model: str) -> str:
    """All tables of one plan."""
    tables = [_memory_table(plan), _flops_table(plan), _collectives_table(plan), _roofline_table(plan)]
    return "\n\n".join([_summary(plan, model), *(table.render() for table in tables)])


def render_largest(batch: int, tried: dict[int, Need], unit: int) -> str:
    """The largest batch, and what was compiled to find it."""
    rows = [(str(size), gib(need.bytes), "yes" if need.fits else "no") for size, need in sorted(tried.items())]
    note = f"{batch} rows or lists a step fit, {batch + unit} do not." if batch else f"Not even {unit} fit."
    return Table("Largest batch", [note], ("batch", "needs GiB", "fits"), rows).render()


def scaling_row(plan: Plan) -> tuple[str, ...]:
    """Cells of ``SCALING_HEADER``."""
    times = plan.roofline
    mfus = [f"{times.mfu(seconds):.2f}" for seconds in (times.full_overlap, times.no_overlap)]
    return (
        plan.cluster.name,
        str(plan.cluster.count),
        mesh_name(plan),
        str(plan.setup.workload.batch),
        gib(plan.arrays.parameters + plan.arrays.optimizer),
        gib(plan.allocation and plan.allocation.temporaries),
        gib(plan.needed) + (" (does not fit)" if plan.fits is False else ""),
        "-" if plan.collectives is None else f"{plan.collectives.sent / 1e9:.1f}",
        *(milliseconds(seconds) for seconds in (times.compute, times.memory, times.interconnect)),
        f"{milliseconds(times.full_overlap)} to {milliseconds(times.no_overlap)}" if times.interconnect else "-",
        f"{mfus[0]} to {mfus[1]}" if times.interconnect else "-",
    )


def mesh_name(plan: Plan) -> str:
    """The axes of more than one device."""
    sizes = [f"{axis}={size}" for axis, size in plan.mesh_shape.items() if size > 1]
    return " x ".join(sizes) or "one device"


def gib(size: int | None) -> str:
    return "-" if size is None else f"{size / GIB:.2f}"


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:,.1f}"


def _summary(plan: Plan, model: str) -> str:
    setup, cluster = plan.setup, plan.cluster
    lines = [
        f"## {setup.workload.step} step of {model} on {cluster.name}",
        "",
        f"{cluster.count} devices ({mesh_name(plan)}); {plan.num_params / 1e9:.2f} billion parameters in float32,",
        f"{setup.config.dtype} products, rematerialisation {setup.config.remat}, {setup.optimizer}, "
        f"{setup.accumulate} microbatch{'es' if setup.accumulate > 1 else ''}; {setup.workload.describe()}.",
    ]
    if cluster.stand_in:
        lines += [
            "Exact: parameters, optimizer state, batch, FLOP. NOT exact: temporaries, output, program, collectives,",
            "and what follows from them: they are of a compile of the same step on the same mesh for",
            f"{cluster.stand_in}, since without a GPU there is no compiler for one. XLA splits the step alike, but",
            "fuses, pads and schedules it otherwise.",
        ]
    elif cluster.devices is None:
        lines += [
            "Exact: parameters, optimizer state, batch, FLOP. NOT known without a compiler for these devices:",
            "temporaries, output, collectives, and whether the step fits.",
        ]
    return "\n".join(lines)


def _memory_table(plan: Plan) -> Table:
    arrays, allocated = plan.arrays, plan.allocation
    rows = [
        ("parameters", gib(arrays.parameters)),
        ("optimizer state", gib(arrays.optimizer)),
        ("batch", gib(arrays.batch)),
    ]
    if allocated:
        rows += [
            ("padding of these in the device's layouts", gib(allocated.arguments - arrays.total)),
            ("output that takes no argument's place", gib(allocated.outputs)),
            ("temporaries: activations, gradients, gathered parameters", gib(allocated.temporaries)),
            ("program", gib(allocated.program)),
        ]
    rows += [("**total**", gib(plan.needed if plan.needed is not None else None)), ("capacity", gib(_capacity(plan)))]
    verdict = {True: "It fits.", False: "**It does not fit.**", None: "Whether it fits is not known."}[plan.fits]
    notes = [
        verdict,
        f"All gradients at once, in float32, would be {gib(plan.gradients)} GiB of the temporaries.",
    ]
    if plan.excess:
        said = gib(plan.excess.used) + " GiB" if plan.excess.used else "more"
        notes.append(f"The compiler needs {said} where a program may use {gib(plan.excess.capacity)} GiB.")
    return Table("Memory of a device", notes, ("what", "GiB"), rows)


def _capacity(plan: Plan) -> int:
    return round(plan.cluster.peaks.memory)


def _flops_table(plan: Plan) -> Table:
    executed = executed_flops(plan.setup.config, plan.work)
    parts = zip(plan.flops._fields, plan.flops, executed, strict=True)
    rows = [(name, f"{counted / 1e12:,.1f}", f"{run / 1e12:,.1f}") for name, counted, run in parts]
    rows.append(("**total**", f"{plan.flops.total / 1e12:,.1f}", f"{executed.total / 1e12:,.1f}"))
    notes = [
        "All devices together, forward and backward. Model: as MFU counts (tools/benchmarks/flops.py); executed: with",
        "recomputation and masked pairs.",
    ]
    return Table("TFLOP of a step", notes, ("part", "model", "executed"), rows)


def _collectives_table(plan: Plan) -> Table:
    if plan.collectives is None:
        return Table("Collectives of a step", ["Not known: no program was compiled."])
    found = plan.collectives
    rows = [(kind, f"{count:,}", f"{sent / 1e9:,.2f}") for kind, (count, sent) in found.traffic.items() if count]
    rows.append(("**total**", f"{sum(t.count for t in found.traffic.values()):,}", f"{found.sent / 1e9:,.2f}"))
    notes = list(collectives.CONVENTION)
    if found.unknown_loops:
        notes.append(f"At least: {found.unknown_loops} loops of unknown length are counted as if they ran once.")
    return Table("Collectives of a step", notes, ("kind", "count", "GB sent by a device"), rows)


def _roofline_table(plan: Plan) -> Table:
    times = plan.roofline
    rows = [(name, milliseconds(getattr(times, name)), "") for name in ("compute", "memory", "interconnect")]
    if times.interconnect is not None:
        for name in ("full_overlap", "no_overlap"):
            seconds = getattr(times, name)
            rows.append((f"**{name.replace('_', ' ')}**", milliseconds(seconds), f"{times.mfu(seconds):.3f}"))
    notes = [*roofline.CONVENTION, f"Longest here: {times.bound}."]
    return Table("Roofline of a step", notes, ("bound", "ms", "MFU"), rows)
