"""tools/classify_hierarchy.py: what each mode says by hand, and a file that is begun, killed and continued."""

import json
import math

import jax
import numpy as np
import pytest

from jaxalign.io import keys, line_file
from jaxalign.io.hierarchy_model import load_hierarchy_model, save_hierarchy_model
from jaxalign.taxonomy import Taxonomy
from tests.io import tiny_hierarchy as tiny
from tools import classify, classify_hierarchy

TEXTS = ["a b", "b", "a b the first", "", "b " * 40, "c, which is"]
#   animal (A)      stone (S)
#   pet (P)  wild | free (W)
#   dog (D), below both
PROBABILITIES = np.float32([0.75, 0.625, 0.25, 0.5, 0.125])  # A P W D S
BOTH = ["animal > pet > dog", "animal > wild | free > dog"]  # ways to the dog


def describe(probabilities=PROBABILITIES, **dials):
    return classify_hierarchy.make_describe_fn(tiny.TAXONOMY, **dials)(np.float32(probabilities))


@pytest.mark.parametrize(
    ("dials", "labels", "names", "depth", "coarse"),
    [
        ({"mode": "top", "top": 1}, "A", ["animal"], 1, True),
        ({"mode": "top", "top": 2}, "AP", ["animal > pet"], 2, True),
        # The dog is the third, and brings its other parent along.
        ({"mode": "top", "top": 3}, "APWD", BOTH, 3, False),
        ({"mode": "top", "top": 5}, "ASPWD", [*BOTH, "stone"], 3, False),
        (
            {"mode": "threshold", "threshold": 0.5},
            "APWD",
            BOTH,
            3,
            False,
        ),
        ({"mode": "threshold", "threshold": 0.6}, "AP", ["animal > pet"], 2, True),
        ({"mode": "threshold", "threshold": 0.9}, "", [], 0, True),
        ({"mode": "path", "threshold": 0.5}, "APD", ["animal > pet > dog"], 3, False),  # by way of one parent
        ({"mode": "path", "threshold": 0.51}, "AP", ["animal > pet"], 2, True),
        ({"mode": "path", "threshold": 0.7}, "A", ["animal"], 1, True),
        ({"mode": "path", "threshold": 0.8}, "", [], 0, True),
        ({"mode": "path", "threshold": 0.0}, "APD", ["animal > pet > dog"], 3, False),
    ],
)
def test_modes_by_hand(dials, labels, names, depth, coarse):
    said = describe(**dials)
    assert [*said["labels"]] == [*labels] and [*said["names"]] == names
    assert said["depth"] == depth and said["coarse"] is coarse
    known = dict(zip("APWDS", PROBABILITIES.tolist(), strict=True))
    assert said["probabilities"] == {id: known[id] for id in labels}


def test_a_sure_class_below_unsure_ones():
    """The dog alone is sure: a threshold brings its ancestors along, and a way down does not get there."""
    probabilities = [0.25, 0.25, 0.125, 0.875, 0.5]
    assert describe(probabilities, mode="threshold", threshold=0.5)["labels"] == ("A", "S", "P", "W", "D")
    assert describe(probabilities, mode="path", threshold=0.5)["names"] == ("stone",)
    assert describe(probabilities, mode="top", top=1)["labels"] == ("A", "P", "W", "D")


def test_a_way_with_a_shortcut_is_one_name():
    taxonomy = Taxonomy(("a", "c", "b"), ((), (0, 2), (0,)))
    said = classify_hierarchy.make_describe_fn(taxonomy, "path", threshold=0.5)(np.float32([0.9, 0.6, 0.8]))
    assert said["names"] == ("a > b > c",) and said["depth"] == 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every text has these probabilities."""
    logits = {id: math.log(chance / (1 - chance)) for id, chance in zip("APWDS", PROBABILITIES.tolist(), strict=True)}
    return save_hierarchy_model(tmp_path_factory.mktemp("tool") / "model", tiny.certain(tiny.make(), logits))


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    return save_hierarchy_model(tmp_path_factory.mktemp("tool") / "model", tiny.make())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"body": text, "name": n}) + "\n" for n, text in enumerate(TEXTS)))
    return path


def run(folder, file, out, **options):
    classify_hierarchy.main(str(folder), file, out, text="body", id="name", **options)
    return line_file.read_rows(out)


def test_lines_of_a_file(folder, file, tmp_path, capsys):
    lines = run(folder, file, tmp_path / "out.jsonl", mode="path", threshold=0.6)
    assert [line["id"] for line in lines] == list("012345")
    assert [line["truncated"] for line in lines] == [
        0,
        0,
        0,
        0,
        1,
        0,
    ]
    for line in lines:
        assert line["labels"] == ["A", "P"] and line["names"] == ["animal > pet"]
        assert line["probabilities"] == pytest.approx({"A": 0.75, "P": 0.625}) and "label" not in line
        assert line["depth"] == 2 and line["coarse"] is True
    assert "6 of 6 rows classified (0 lines were there), 0 not readable, 0 not classified, 1 cut to 6 tokens" in (
        capsys.readouterr().out
    )
    top = run(folder, file, tmp_path / "top.jsonl")  # the default: three, as in the paper
    assert top[0]["labels"] == ["A", "P", "W", "D"]


def test_probabilities_are_those_of_the_model(varied, file, tmp_path):
    lines = run(varied, file, tmp_path / "out.jsonl", mode="threshold", threshold=0.0)
    model = load_hierarchy_model(varied)
    labeller = classify_hierarchy.make_labeller(model, {"mode": "threshold", "threshold": 0.0})
    for text, line in zip(TEXTS, lines, strict=True):
        ids = [2, *model.tokenizer.encode(text)[:4], 3]
        batch = classify.TextBatch(np.array([ids], np.int32), np.ones((1, len(ids)), bool), None, None)
        alone = np.asarray(labeller.probabilities_fn(batch))[0]
        known = dict(zip("APWDS", alone.tolist(), strict=True))
        assert line["probabilities"] == pytest.approx(known, abs=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_killed_run_continues(varied, file, tmp_path, share, monkeypatch, capsys):
    out, arguments = tmp_path / "out.jsonl", dict(mode="threshold", threshold=0.4, batch_size=2)
    monkeypatch.setattr("jaxalign.io.jobs.classifying.BATCHES_AT_ONCE", 1)
    run(varied, file, out, **arguments)
    written = out.read_bytes()
    out.write_bytes(cut := written[: int(share * len(written))])
    run(varied, file, out, **arguments)
    assert out.read_bytes() == written
    resumed = cut.count(b"\n")
    assert f"({resumed} lines were there)" in capsys.readouterr().out


def change_matrix(folder, out):
    model = load_hierarchy_model(folder)
    head = jax.tree.map(lambda leaf: 1.5 * leaf, model.params["head"])
    return save_hierarchy_model(out, model._replace(params={**model.params, "head": head}))


def change_names(folder, out):
    model = load_hierarchy_model(folder)
    names = ("Tier", *tiny.TAXONOMY.names[1:])
    return save_hierarchy_model(out, model._replace(taxonomy=Taxonomy(names, tiny.TAXONOMY.parents, tiny.TAXONOMY.ids)))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (change_matrix, {}, "weights was"),
        (change_names, {}, "taxonomy.names was .*animal.* and is .*Tier"),
        (lambda folder, _: folder, {"max_tokens": 5}, "max_tokens was 6 and is 5"),
        (lambda folder, _: folder, {"top": 2}, "answers.top was 3 and is 2"),
        (lambda folder, _: folder, {"mode": "path"}, "answers.mode was 'top' and is 'path'"),
    ],
)
def test_answers_of_two_kinds_are_never_in_one_file(varied, file, tmp_path, change, options, message):
    out = tmp_path / "out.jsonl"
    run(varied, file, out)
    written = out.read_bytes()
    with pytest.raises(ValueError, match=f"out.jsonl was begun with other settings: {message}"):
        run(change(varied, tmp_path / "other"), file, out, **options)
    assert out.read_bytes() == written
    assert json.loads(keys.settings_file(out).read_text())["answers"] == {"mode": "top", "top": 3}


def test_bad_rows_are_counted(varied, tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text('{"body": "a", "name": 1}\n{"body": null, "name": 2}\n{"body": "b", "name": 3}\n')
    with pytest.raises(ValueError, match="rows.jsonl, row 2"):
        run(varied, file, tmp_path / "out.jsonl")
    assert [line["row"] for line in run(varied, file, tmp_path / "out.jsonl", skip_bad_rows=True)] == [0, 2]
    assert "2 of 3 rows classified" in capsys.readouterr().out


def test_values_that_do_not_fit(varied, file, tmp_path):
    with pytest.raises(ValueError, match="--top: expected at most the number of classes, 5, got 6"):
        run(varied, file, tmp_path / "out.jsonl", top=6)
    with pytest.raises(ValueError, match="--threshold: expected with --mode threshold or path only, got --mode top"):
        classify_hierarchy.read_dials("top", None, 0.5)
    with pytest.raises(ValueError, match="--top: expected with --mode top only, got --mode threshold"):
        classify_hierarchy.read_dials("threshold", 3, None)
    assert classify_hierarchy.read_dials("path", None, None) == {"mode": "path", "threshold": 0.5}
    assert not (tmp_path / "out.jsonl").exists()


def test_each_tool_names_the_other(varied, tmp_path):
    with pytest.raises(ValueError, match="got a EncoderConfig .*tools.classify_hierarchy classifiers with a taxonomy"):
        classify.load_labeller(str(varied))
    with pytest.raises(FileNotFoundError, match="tools.classify takes classifiers without a taxonomy"):
        classify_hierarchy.main(str(tmp_path), tmp_path, tmp_path / "out")
