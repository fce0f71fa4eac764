"""tools/export_hf.py: from the checkpoints of a run to a model with its tokenizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tokenizers
import transformers

from jaxalign import data, training
from jaxalign.io import hf
from jaxalign.io.run import checkpoints, model_config
from jaxalign.models import DecoderConfig
from tests.parity import tiny
from tools import export_hf

CONFIG = DecoderConfig(31, 16, 24, 2, 4, 2, 6, family="mistral", window=4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose parameters are all 1 at step 1 and those of ``params`` at step 2, and the latter."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    params = tiny.random_params(CONFIG)
    with checkpoints.Checkpoints(folder / "checkpoints") as saved:
        for step, values in enumerate([jax.tree.map(jnp.ones_like, params), params], start=1):
            saved.save(step, training.init_state(values, optax.sgd(0.1)), {})
    model_config.save_config(folder, CONFIG)
    vocabulary = {f"<{name}>": index for index, name in enumerate(["pad", "bos", "eos", "unk"])} | {"a": 4, "b": 5}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    names = {f"{name}_token": f"<{name}>" for name in ("pad", "bos", "eos", "unk")} | {"add_bos_token": True}
    data.HfTokenizer(backend, names).save(folder / "tokenizer")
    return folder, params


def test_newest_checkpoint_of_a_run(run, tmp_path):
    folder, params = run
    export_hf.main(folder, tmp_path / "out", license="mit")
    config, read = hf.load_pretrained(tmp_path / "out")
    assert config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, read, params)
    _, info = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info.values())
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer("b a", add_special_tokens=False).input_ids == [5, 4]
    generation = transformers.GenerationConfig.from_pretrained(tmp_path / "out")
    assert (generation.pad_token_id, generation.bos_token_id, generation.eos_token_id) == (0, 1, 2)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# mine\n" in card and "license: mit\n" in card and "base_model" not in card


@pytest.mark.parametrize(("part", "expected"), [("checkpoints/1", 1.0), ("checkpoints", None)])
def test_a_folder_of_checkpoints_or_one_of_them(run, tmp_path, part, expected):
    folder, params = run
    export_hf.main(folder / part, tmp_path / "out", dtype="bfloat16")
    read = hf.load_pretrained(tmp_path / "out")[1]["final_norm"]["scale"]
    wanted = params["final_norm"]["scale"].astype("bfloat16").astype(jnp.float32) if expected is None else expected
    np.testing.assert_array_equal(read, wanted)


def test_a_run_without_its_model(tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="no model.json beside .*checkpoints or one level above; pass a run"):
        export_hf.main(tmp_path / "run", tmp_path / "out")
    (tmp_path / "run" / "adapter").mkdir()
    with pytest.raises(FileNotFoundError, match="holds adapters without their base; .*adapter has the last one"):
        export_hf.main(tmp_path / "run", tmp_path / "out")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_dtype_of_the_model_that_training_started_from(dtype, run, tmp_path):
    start = hf.save_pretrained(tmp_path / "start", CONFIG, run[1], dtype=dtype)
    folder = tmp_path / "run"
    model_config.save_config(folder, hf.load_pretrained(start)[0])
    (folder / "checkpoints").symlink_to(run[0] / "checkpoints")
    export_hf.main(folder, tmp_path / "out")
    assert hf.load_pretrained(tmp_path / "out")[0].origin.dtype == dtype
    export_hf.main(folder, tmp_path / "wide", dtype="float32")
    assert hf.load_pretrained(tmp_path / "wide")[0].origin.dtype == "float32"
