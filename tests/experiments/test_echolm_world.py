"""What is put into the made world of experiments.echolm: qualities, queues, arrivals, and what similarity can tell."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from experiments.echolm import arrivals, figures, grounds, world
from experiments.echolm.queueing import Server, Speed
from experiments.echolm.simulate import Served
from experiments.echolm.world import LARGE, SMALL


@pytest.fixture(scope="module")
def made():
    return world.make_world(0, width=64, num_topics=8)


@pytest.fixture(scope="module")
def traffic(made):
    return world.make_traffic(made, 0, np.linspace(0, 1, 1500), *arrivals.poisson(0, 1500, 1.0))


def test_examples_that_help_raise_the_small_model_alone_and_others_lower_it(made):
    questions = np.array([0, 500])
    plain = world.qualities(made, questions, np.zeros(2), np.zeros(2))
    odds = made.skills[made.topics[questions]] - made.difficulties[questions][:, None]
    np.testing.assert_allclose(plain, 1 / (1 + np.exp(-odds)), rtol=1e-6)
    helped = world.qualities(made, questions, np.array([1, 5]), np.zeros(2))
    harmed = world.qualities(made, questions, np.zeros(2), np.array([1, 5]))
    assert (helped[:, SMALL] > plain[:, SMALL]).all() and (harmed[:, SMALL] < plain[:, SMALL]).all()
    np.testing.assert_array_equal(helped[:, LARGE], plain[:, LARGE])
    # One example that helps moves the log-odds by 3 (1 - exp(-1 / 3)) = 0.850, five that do not by -1.
    moved = np.log(helped / (1 - helped)) - np.log(plain / (1 - plain))
    assert moved[0, SMALL] == pytest.approx(0.850, abs=2e-3)
    moved = np.log(harmed / (1 - harmed)) - np.log(plain / (1 - plain))
    assert moved[1, SMALL] == pytest.approx(-1.0, abs=2e-3)


def test_similar_requests_want_other_answers_about_as_often_as_real_ones(made, traffic):
    # Of real question pairs with a TF-IDF cosine of .8 or more, 36 % have another meaning.
    cosines = traffic.embeddings[:750] @ traffic.embeddings[750:].T
    nearest, column = cosines.argmax(0), np.arange(750)
    near = cosines[nearest, column] >= 0.8
    other = traffic.questions[:750][nearest] != traffic.questions[750:]
    assert near.mean() > 0.5 and 0.2 < other[near].mean() < 0.6
    topics = made.topics[traffic.questions]
    assert (topics[:750][nearest] == topics[750:])[near].mean() > 0.99


def test_goodness_shows_in_answers_and_not_in_requests(made, traffic):
    good = np.arange(1500) % 2 == 0
    answers = world.answer_embeddings(made, traffic.questions, good, traffic.answers)
    assert (answers @ made.trace)[good].mean() > (answers @ made.trace)[~good].mean() + 0.5
    assert abs((traffic.embeddings @ made.trace)[good].mean() - (traffic.embeddings @ made.trace)[~good].mean()) < 0.02


def test_topics_come_late_and_their_weights_sum_to_one(made):
    weights = world.topic_weights(made.drift, np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(weights.sum(1), 1)
    assert [int((row == 0).sum()) for row in weights] == [2, 1, 0]


def test_a_queue_serves_in_turn():
    server = Server(Speed(slots=2, prefill=10.0, decode=1.0))
    # Ten tokens to read and nine to write take 1 + 9 = 10 s; two at once, the third begins when the first ends.
    assert [server.serve(at, 10, 9) for at in (0.0, 1.0, 2.0)] == [10.0, 10.0, 18.0]
    assert server.load(3.0) == 1.5 and server.load(10.0) == 1.0 and server.load(20.0) == 0
    assert server.serve(30.0, 10, 9) == 10.0


def test_a_trace_is_read_and_made_denser(tmp_path):
    columns = {"offset_s": [2.0, 3.0, 7.0], "context_tokens": [5, 6, 7], "generated_tokens": [1, 2, 3]}
    pa.parquet.write_table(pa.table(columns), path := tmp_path / "trace.parquet")
    times, tokens = arrivals.trace(path, 2, 4.0)
    assert times.tolist() == [0, 0.25] and tokens.tolist() == [[5, 1], [6, 2]]
    assert len(arrivals.trace(path, 0, 1.0)[0]) == 3
    with pytest.raises(ValueError, match="expected 4 requests, there are 3"):
        arrivals.trace(path, 4, 1.0)
    pa.parquet.write_table(pa.table(columns | {"offset_s": [2.0, 1.0, 7.0]}), path)
    with pytest.raises(ValueError, match="row 1 goes back"):
        arrivals.trace(path, 0, 1.0)
    pa.parquet.write_table(pa.table({"offset_s": [1.0]}), path)
    with pytest.raises(ValueError, match="context_tokens, generated_tokens missing"):
        arrivals.trace(path, 0, 1.0)


def test_drawn_arrivals_have_the_rate_that_is_asked_for():
    times, tokens = arrivals.poisson(0, 20_000, 2.0)
    assert 20_000 / times[-1] == pytest.approx(11, rel=0.1)
    assert np.median(tokens, 0) == pytest.approx([1020, 129], rel=0.05)


def test_the_classifier_knows_topics_in_which_the_small_model_is_good():
    ground = grounds.make(0, (400, 200), 1.0, "")
    none = np.zeros(200)
    true = world.qualities(ground.world, ground.traffic.questions, none, none)
    assert ground.classified.shape == (200, 2)
    assert np.corrcoef(ground.classified[:, SMALL], true[:, SMALL])[0, 1] > 0.2


def test_the_course_of_the_load_by_hand():
    def row(models, loads):
        columns = {name: np.zeros(len(models)) for name in Served._fields}
        served = Served(**columns)._replace(models=np.asarray(models, int), loads=np.asarray(loads))
        return {name: figure.value for name, figure in figures.load_row(served, 0.8).items()}

    steady = np.random.default_rng(0).random(20_000) < 0.5
    assert row(steady, np.zeros(20_000))["swing of the share"] < 0.02
    # Windows of 50 are all small or all large: variance 1/4, of which chance explains 1/200.
    blocks = np.tile(np.repeat([0, 1], 50), 100)
    assert row(blocks, np.zeros(10_000))["swing of the share"] == pytest.approx(np.sqrt(0.25 - 0.25 / 50))
    # Above .8 from the start, down to .7 and up again, which is one surge; down to .5 and up, which is another.
    found = row(np.zeros(8), [0.9, 0.7, 0.9, 1.2, 0.5, 0.7, 0.81, 0.9])
    assert (found["surges"], found["highest"]) == (2, 1.2)
