"""Classifiers from labelled texts: the best weights come back, whatever happened in between, and are exported."""

import dataclasses
import json

import jax
import numpy as np
import pytest
import transformers

from experiments.common import machines
from experiments.common.classifiers import fine_tuning, starts, steps, training
from experiments.common.classifiers.settings import ClassifierTraining
from jaxalign import training as optimisation
from jaxalign.io.run.writers import read_metrics
from tools import classify

CLASSES = ("sport", "food", "travel")
WORDS = {"sport": "goal team win", "food": "rice soup salt", "travel": "train sea map"}
TUNING = ClassifierTraining(
    epochs=3,
    classifier_batch=16,
    classifier_learning_rate=5e-3,
    text_lengths=(8,),
    dev_share=0.25,
    encoder_size=(16, 1),
    encoder_words=20,
)


def made(count, seed, several=False):
    """Texts of five words, two of them of the class, or of each of the classes."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(count):
        names = [CLASSES[number % 3]]
        if several:
            names = [name for name in CLASSES if rng.random() < 0.5]
        words = [word for name in names for word in rng.choice(WORDS[name].split(), 2)]
        words += list(rng.choice("the of and".split(), 6 - len(words)))
        texts.append(" ".join(rng.permutation(words)))
        labels.append(names if several else names[0])
    return texts, labels


TRAIN, TEST = made(48, 0), made(30, 1)


def train(directory, tuning=TUNING, data=TRAIN, seed=0):
    return training.train_classifier(*data, CLASSES, directory, tuning, seed=seed)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("classifier") / "run"
    return train(directory), directory


def scripted(monkeypatch, accuracies, seen):
    """Development figures that are said beforehand; what was judged is kept."""
    said = iter(accuracies)

    def judge(model, dev, lengths, params):
        seen.append(jax.device_get(params))
        accuracy = next(said)
        if accuracy is None:
            raise KeyboardInterrupt
        return {"loss": 1.0, "accuracy": accuracy}

    monkeypatch.setattr(fine_tuning, "_judge", judge)


def same(params, others):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(others), strict=True))


def test_the_best_weights_come_back_and_not_the_last(tmp_path, monkeypatch):
    """The authors' code reports the last epoch."""
    seen = []
    scripted(monkeypatch, (0.5, 0.9, 0.7), seen)
    found = train(tmp_path / "run")
    assert [same(found.network.params, params) for params in seen] == [False, True, False]
    assert (found.told["epoch that was kept"], found.told["development accuracy"]) == (2, 0.9)
    again = train(tmp_path / "run")  # nothing is judged again: the script has no more lines
    assert same(again.network.params, seen[1]) and again.told == found.told
    np.testing.assert_array_equal(again.predict(TEST[0]), found.predict(TEST[0]))


def test_a_killed_training_ends_as_if_nothing_had_happened(tmp_path, monkeypatch):
    seen, again = [], []
    monkeypatch.setattr(fine_tuning, "CHECKPOINT_EVERY", 2)
    scripted(monkeypatch, (0.5, None), seen)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run")
    scripted(monkeypatch, (0.5, 0.9, 0.7)[1:], again)  # the first epoch is in the checkpoint
    found = train(tmp_path / "run")
    assert len(again) == 2 and same(found.network.params, again[0]) and same(again[0], seen[1])


def test_equal_accuracy_is_decided_by_the_loss():
    better, worse = {"accuracy": 0.9, "loss": 0.3}, {"accuracy": 0.9, "loss": 0.8}
    assert fine_tuning.score(better) > fine_tuning.score(worse) > fine_tuning.score({"accuracy": 0.899, "loss": 0.0})
    assert fine_tuning.score({"micro-F1": 0.5, "loss": 1e9}) > 0.49


def test_what_was_chosen_is_told(trained):
    found, directory = trained
    rows = [row for row in read_metrics(directory) if "eval/accuracy" in row]
    assert [row["step"] for row in rows] == [3, 6, 9]  # 36 texts in batches of 16
    assert found.told["development accuracy"] == max(row["eval/accuracy"] for row in rows)
    assert found.told["texts to learn from"] == 36 and found.told["texts of the development part"] == 12
    assert found.told["texts that were cut"] == 0 and not any("without" in name for name in found.told)


def test_texts_keep_their_order_and_length_changes_nothing(trained):
    found, _ = trained
    texts = ["goal", *TEST[0], "rice rice rice soup salt salt salt salt salt salt"]
    together = found.predict(texts)
    assert together.shape == (32, 3)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    alone = np.concatenate([found.predict([text]) for text in (texts[0], texts[5], texts[-1])])
    np.testing.assert_allclose(together[[0, 5, 31]], alone, atol=1e-6)


def test_what_a_small_development_part_lacks_is_told(tmp_path):
    texts, labels = ["win", "win", "win", "soup"], ["sport", "sport", "sport", "food"]
    told = train(tmp_path / "run", dataclasses.replace(TUNING, epochs=1, dev_share=0.01), (texts, labels)).told
    assert told["texts of the development part"] == 1 and told["of these, also learnt from"] == 1
    assert told["classes without a text in the development part"] == "food, travel"
    assert told["classes without a text to learn from"] == "travel"


def test_another_training_is_never_passed_off_as_this_one(trained):
    _, directory = trained
    texts, labels = TRAIN
    with pytest.raises(ValueError, match="begun with other settings: texts was"):
        train(directory, data=(["goal", *texts[1:]], labels))
    with pytest.raises(ValueError, match="begun with other settings: labels was"):
        train(directory, data=(texts, ["food", *labels[1:]]))
    with pytest.raises(ValueError, match="settings.epochs was 3 and is 4"):
        train(directory, dataclasses.replace(TUNING, epochs=4))


def test_an_export_says_what_the_classifier_says(trained, tmp_path):
    found, _ = trained
    training.export(found, tmp_path / "hf")
    training.export(found, tmp_path / "hf")  # an earlier one is replaced
    texts = TEST[0][:10]
    probabilities = found.predict(texts)
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    classify.main(str(tmp_path / "hf"), tmp_path / "rows.jsonl", tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    said = [[line["probabilities"][name] for name in CLASSES] for line in lines]
    np.testing.assert_allclose(said, probabilities, atol=1e-6)
    assert [line["label"] for line in lines] == [CLASSES[best] for best in probabilities.argmax(axis=1)]
    pipeline = transformers.pipeline("text-classification", model=str(tmp_path / "hf"), device="cpu", top_k=None)
    for text, row in zip(texts, probabilities, strict=True):
        [theirs] = pipeline([text])
        assert {each["label"]: each["score"] for each in theirs} == pytest.approx(
            dict(zip(CLASSES, row, strict=True)), abs=1e-5
        )


def test_several_labels(tmp_path):
    tuning = dataclasses.replace(TUNING, epochs=12, classifier_learning_rate=2e-2)
    found = train(tmp_path / "run", tuning, made(96, 2, several=True))
    assert found.several and "development micro-F1" in found.told
    assert found.network.model.config.problem_type == "multi_label_classification"
    texts, labels = made(60, 3, several=True)
    right = np.array([[name in names for name in CLASSES] for names in labels])
    assert np.mean((found.predict(texts) > 0.5) == right) > 0.8


def test_rates_are_those_of_the_linear_schedule():
    params = {"classes": np.ones((8, 2), np.float32), "classes_bias": np.ones(2, np.float32)}
    schedule = optimisation.linear_schedule(0.1, num_steps=7, warmup_steps=2)
    optimizer = optimisation.adamw(schedule, weight_decay=0.3)
    expected, reference_step = (
        optimisation.init_state(params, optimizer),
        optimisation.make_train_step(_squares, optimizer),
    )
    state, make_step = steps.start_state(params, peak=0.1, num_steps=7, warmup_steps=2, weight_decay=0.3)
    step = make_step(_squares)
    for number in range(7):
        batch, key = np.full((8, 8), number + 1, np.float32), jax.random.key(0)
        expected, _ = reference_step(expected, batch, key)
        state, _ = step(state, batch, key)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), state.params, expected.params)


def _squares(params, batch, key):
    return ((batch @ params["classes"] - params["classes_bias"][None]) ** 2).mean(), {}


def test_runs_of_other_lengths_share_a_program(trained, tmp_path):
    found, _ = trained
    _, make_step = steps._optimizer(TUNING.weight_decay, machines.mesh())
    program = make_step(optimisation.make_classification_loss(found.network.model)).func
    before = program._cache_size()
    train(tmp_path / "two", dataclasses.replace(TUNING, epochs=1), made(60, 5), seed=3)
    assert program._cache_size() == before > 0


def test_a_tokenizer_of_words():
    tokenizer = starts.make_tokenizer(["The goal, the win!", "the [SEP] goal"], 4)
    # the 3, goal 2, then what is there once, by its spelling: "!" and ","
    assert list(tokenizer.vocabulary) and tokenizer.vocab_size == 8
    assert tokenizer.encode("GOAL the unheard !") == [5, 4, 1, 6]
    assert tokenizer.encode("[SEP]") != [3]  # typed text is text
    assert (tokenizer.bos_id, tokenizer.text_end_ids, tokenizer.pad_id) == (2, (3,), 0)


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a"], ["food"], "expected at least 2 texts, one to learn from and one to choose by, got 1"),
        (["a", "b"], ["food"], "expected a label for each text, got 2 texts and 1 labels"),
        (["a", "b"], ["food", "fod"], "has the label 'fod', which is none of"),
        (["a", "b"], ["food", ["food"]], "expected one label of each text or a list for each, got both"),
        ([], [], "expected one label of each text or a list for each, got no text"),
    ],
)
def test_mistakes(tmp_path, texts, labels, message):
    with pytest.raises(ValueError, match=message):
        train(tmp_path, data=(texts, labels))
