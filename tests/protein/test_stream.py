"""Labelled batches: labels at their rows, every graph once an epoch, the same stream from any point on."""

import itertools

import numpy as np
import pytest

from jaxalign import protein
from jaxalign.protein.stream import plan_epoch
from tests.protein import tiny
from tests.protein.test_objective import TASKS, batch_of, labelled

GRAPHS = [labelled(seed, residues=(3 + seed % 5, 2)) for seed in range(11)]
LARGEST = protein.BatchSize(edges=260, nodes=60, graphs=4, chains=8)
SIZES = protein.batch_sizes(LARGEST, count=2)


def test_labels_stand_at_their_graphs_and_chains():
    first, second = labelled(0), labelled(1, residues=(5,))
    batch = batch_of(first, second, spare=2)
    np.testing.assert_array_equal(
        batch.targets["family"][:3], np.concatenate([first.targets["family"], second.targets["family"]])
    )
    assert batch.masks["family"].tolist() == [True] * 3 + [False] * 2
    assert batch.masks["site"].tolist() == [True, False, True, False, False]
    assert batch.masks["affinity"].tolist() == [True, True, False, False]
    np.testing.assert_array_equal(batch.targets["affinity"][1:2], second.targets["affinity"])


def test_rows_must_be_those_of_the_graph():
    wrong = labelled(0)
    wrong.masks["family"] = np.ones(3, bool)
    with pytest.raises(ValueError, match=r"'family' is at chain level: expected rows \[2\], got \[3\]"):
        batch_of(wrong)


def numbers(batch):
    """Which of GRAPHS are in a batch, by their affinities."""
    known = {float(each.targets["affinity"][0]): n for n, each in enumerate(GRAPHS)}
    return [known[float(x)] for x in batch.targets["affinity"][batch.graphs.graph_mask]]


def test_every_graph_once_an_epoch_in_another_order_each_time():
    stream = protein.labelled_batches(GRAPHS, TASKS, SIZES, num_epochs=2)
    seen = [numbers(batch) for batch in stream]
    half = len(seen) // 2
    epochs = seen[:half], seen[half:]
    for epoch in epochs:
        assert sorted(itertools.chain(*epoch)) == list(range(len(GRAPHS)))
    assert epochs[0] != epochs[1]


def test_a_stream_continues_where_its_state_was_taken():
    whole = [numbers(batch) for batch in itertools.islice(protein.labelled_batches(GRAPHS, TASKS, SIZES), 9)]
    iterator = iter(protein.labelled_batches(GRAPHS, TASKS, SIZES))
    for _ in range(4):
        next(iterator)
    again = iter(protein.labelled_batches(GRAPHS, TASKS, SIZES))
    again.set_state(iterator.get_state())
    assert [numbers(next(again)) for _ in range(5)] == whole[4:]


def test_in_order_for_evaluation():
    batches = list(protein.batches_in_order(GRAPHS, TASKS, SIZES))
    assert list(itertools.chain(*map(numbers, batches))) == list(range(len(GRAPHS)))
    assert all(len(batch.graphs.edge_mask) in {size.edges for size in SIZES} for batch in batches)


def test_no_plan_overfills_a_batch_or_loses_a_graph():
    """Sizes that hardly fit: some epochs fall back on the packing that is known to."""
    rng = np.random.default_rng(0)
    sizes = np.stack([rng.integers(30, 100, 40), rng.integers(5, 20, 40), np.ones(40), np.ones(40)], axis=1).astype(int)
    room = np.array([100, 30, 3, 3])
    for epoch in range(20):
        count = 40
        plan = plan_epoch(sizes, room, count, 0, epoch)
        assert len(plan) == count and set(itertools.chain(*plan)) == set(range(40))
        assert all((sizes[batch].sum(axis=0) <= room).all() for batch in plan)


def test_what_cannot_be_batched_is_said():
    small = [protein.BatchSize(edges=20, nodes=12, graphs=1, chains=2)]
    with pytest.raises(ValueError, match=r"graph 1 of BatchSize\(edges=.* and 9 others do not fit in"):
        protein.labelled_batches([labelled(0, residues=(3,), ligand=0), *GRAPHS[1:]], TASKS, small)
    with pytest.raises(ValueError, match="at least one graph"):
        protein.labelled_batches([], TASKS, SIZES)


def test_predictions_of_batches_are_those_of_graphs_alone():
    network = tiny.network()
    variables = tiny.variables(network)
    found = protein.collect_predictions(network, variables, protein.batches_in_order(GRAPHS, TASKS, SIZES))
    alone = [next(protein.batches_in_order([each], TASKS, SIZES[-1:])).graphs for each in GRAPHS]
    for task in TASKS:
        real = [each.graph_mask if task.level == "graph" else each.chain_mask for each in alone]
        expected = [protein.predict(network, variables, each)[task.name] for each in alone]
        expected = np.concatenate([np.asarray(values)[rows] for values, rows in zip(expected, real, strict=True)])
        np.testing.assert_allclose(found[task.name].values, expected, atol=1e-5)
        targets = np.concatenate([each.targets[task.name] for each in GRAPHS])
        np.testing.assert_array_equal(found[task.name].targets, targets)


def test_bins_of_identity():
    """The first graph is below 50 % and 70 %, the second below 70 %, the third is in no list: rows are chains."""
    task = TASKS[1]
    below = np.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]], bool)
    graphs = [GRAPHS[0]._replace(identity={"family": below[0]}), GRAPHS[1]._replace(identity={"family": below[1]})]
    rows = protein.identity_rows([*graphs, GRAPHS[2]], task)
    assert rows.tolist() == np.repeat([*below, np.zeros(5, bool)], 2, axis=0).tolist()
    targets = np.concatenate([each.targets["family"] for each in [*graphs, GRAPHS[2]]])
    right_only_in_the_first = np.where(np.arange(6)[:, None] < 2, targets, 1 - targets)
    predictions = protein.Predictions(right_only_in_the_first, targets, np.ones(6, bool))
    found = protein.metrics_by_identity(task, predictions, rows)
    assert set(found) == {"<50%", "<70%", "<95%"}
    assert found["<50%"]["Fmax"] == 1 > found["<70%"]["Fmax"]


def test_metrics_by_task():
    """Predicting the labels themselves is perfect, and unlabelled rows do not count."""
    targets = np.array([1.0, 2.0, 4.0, 9.0], np.float32)
    values = np.where(np.arange(4) < 3, targets, 0)
    number = protein.task_metrics(TASKS[0], protein.Predictions(values, targets, np.arange(4) < 3))
    assert number["RMSE"] == number["MAE"] == 0
    np.testing.assert_allclose([number["Pearson"], number["Spearman"]], 1, rtol=1e-6)
    classes = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1]], np.float32)
    found = protein.task_metrics(TASKS[1], protein.Predictions(0.9 * classes, classes, np.array([True, True, False])))
    assert found == {"Fmax": 1.0, "Fmax of 20": 1.0, "AUPR": 1.0}
    assert protein.task_metrics(TASKS[1], protein.Predictions(classes, classes, np.zeros(3, bool))) == {}
