"""Plans of a tiny model: compiled by libtpu for three TPUs, and for the devices at hand."""

import jax
import pytest

from tests.tools.planning import tiny
from tools import plan as command
from tools.hardware import device_peaks
from tools.planning import report
from tools.planning.clusters import Cluster, find_cluster
from tools.planning.memory import Allocation, Arrays, DoesNotFit
from tools.planning.plans import MeshSizes, make_plan

GIB = 2**30


@pytest.fixture(scope="module")
def v5e():
    return make_plan(tiny.make_setup("lipo", batch=8, list_size=3), find_cluster("v5e:2x2"), MeshSizes())


def check_allocation(plan):
    """It holds the state and the batch, padded, and gradients somewhere."""
    assert plan.fits and plan.needed == sum(plan.allocation) < plan.cluster.peaks.memory
    assert 0 <= plan.allocation.arguments - plan.arrays.total < plan.arrays.total
    assert plan.collectives.unknown_loops == 0


def test_a_step_for_a_tpu(v5e):
    check_allocation(v5e)
    # Matrices of two layers, gathered in bfloat16 in forward and for backward, their gradients scattered in bfloat16.
    # The vocabulary: gathered twice in bfloat16, its gradient scattered in float32. Of each 3 / 4 passes on.
    layers, vocabulary = 2 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 256), 512 * 128
    expected = 3 / 4 * (3 * 2 * layers + (2 * 2 + 4) * vocabulary)
    assert v5e.collectives.sent == pytest.approx(expected, rel=0.15)
    assert v5e.roofline.interconnect == v5e.collectives.sent / 200e9


@pytest.mark.parametrize(("topology", "step"), [("v5p:2x2x1", "sft"), ("v6e:2x2", "reward")])
def test_other_steps_for_other_tpus(topology, step):
    plan = make_plan(
        tiny.make_setup(step, batch=4, num_layers=1, windowed_layers=()), find_cluster(topology), MeshSizes()
    )
    check_allocation(plan)
    assert plan.collectives.sent > 0


def test_the_report(v5e):
    arrays, allocation = Arrays(2 * GIB, 4 * GIB, GIB), Allocation(8 * GIB, GIB // 2, 3 * GIB, GIB // 4)
    text = report.render_plan(v5e._replace(arrays=arrays, allocation=allocation), "tiny")
    memory, *others = text.split("### ")[1:]
    cells = [line.strip("| ").split(" | ") for line in memory.splitlines() if line.startswith("| ")][2:]
    assert [size for _, size in cells] == ["2.00", "4.00", "1.00", "1.00", "0.50", "3.00", "0.25", "11.75", "16.00"]
    assert "It fits." in memory and len(others) == 3
    assert len(report.scaling_row(v5e)) == len(report.SCALING_HEADER)


def test_what_is_not_known_of_gpus_is_said(v5e):
    # No compile: seven TPUs that could stand in for seven GPUs are no grid.
    plan = make_plan(tiny.make_setup("dpo", batch=7), find_cluster("h100:7"), MeshSizes(data=7, fsdp=1))
    text = report.render_plan(plan, "tiny")
    assert plan.fits is None and "NOT known without a compiler" in text and "Not known: no program was compiled" in text
    stand_in = v5e._replace(cluster=v5e.cluster._replace(name="h100:4", stand_in="v5p:2x2x1"))
    text = report.render_plan(stand_in, "tiny")
    assert "Exact: parameters, optimizer state, batch, FLOP. NOT exact: temporaries" in text


def test_what_does_not_fit_is_said(v5e, monkeypatch):
    def refuse(*arguments):
        raise DoesNotFit(24 * 2**30, 15 * 2**30)

    monkeypatch.setattr("tools.planning.plans.compile_on", refuse)
    plan = make_plan(v5e.setup, v5e.cluster, MeshSizes())
    text = report.render_plan(plan, "tiny")
    assert plan.fits is False and plan.needed == 24 * 2**30
    assert "**It does not fit.**" in text and "needs 24.00 GiB where a program may use 15.00 GiB" in text
    assert "24.00 (does not fit)" in report.scaling_row(plan)


def test_the_largest_batch_on_the_device_at_hand(monkeypatch):
    """In room for a list and half a list more, 1 fits and 2 do not; each is compiled once."""
    setup = tiny.make_setup("reward", batch=1, num_layers=1, windowed_layers=())
    setup = setup._replace(workload=setup.workload._replace(prompt=256))
    cluster, sizes = Cluster("cpu", device_peaks("v5e"), 1, jax.devices()[:1]), MeshSizes()
    plans = {batch: make_plan(setup.with_batch(batch), cluster, sizes) for batch in (1, 2)}
    assert plans[1].needed < plans[2].needed
    room = (plans[1].needed + plans[2].needed) // 2
    small = cluster._replace(peaks=cluster.peaks._replace(memory=room))
    monkeypatch.setattr(
        command, "make_plan", lambda setup, cluster, sizes: plans[setup.workload.batch]._replace(cluster=cluster)
    )
    text = command.search_batch(plans[1]._replace(cluster=small), sizes)
    assert "1 rows or lists a step fit, 2 do not." in text
    assert f"| 2 | {report.gib(plans[2].needed)} | no |" in text
