from experiments.ease import figures
from experiments.ease.methods import MethodResult
from jaxalign.data import Question
from jaxalign.ensemble import Prediction, Sample


def test_samples_that_are_off_the_likeliest_answer_are_counted():
    """Two of three that can be read and were scored: "No" at 0.4 and "Yes" at 0.2."""
    drawn = [(0, (0.6, 0.4)), (1, (0.6, 0.4)), (None, (0.9, 0.1)), (0, (0.2, 0.8)), (0, None)]
    samples = tuple(Sample("", "", choice, (), probabilities) for choice, probabilities in drawn)
    run = MethodResult([Prediction((0.5, 0.5), samples)], tokens=7)
    row = figures.table({"SPA": run}, [Question("Wet?", ("Yes", "No"), 0)])["SPA"]
    assert row["samples off the likeliest answer"].value == 2 / 3
    assert row["unparsed texts"].value == 1 / 5
