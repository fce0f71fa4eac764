"""experiments.plad at toy size: every method learns, every kind of teacher writes, nothing is done twice."""

import json
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from experiments.common import stages
from experiments.common.fields import replace
from experiments.plad import __main__ as plad
from experiments.plad import file_world, methods, sequence_world
from jaxalign import data, losses, models
from jaxalign.data import PreferenceRecord
from jaxalign.typing import ListBatch
from tests.experiments import long_form
from tests.io.llm import chat_server

TRUE_QUALITY = sequence_world.quality_fn
TOY = dict(size=(16, 1), warm_steps=2, steps=2, batch=8, seeds=1)


@pytest.fixture(autouse=True, scope="module")
def small_world():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_world, "NUM_TEST", 8)
        patch.setattr(sequence_world, "DEMONSTRATIONS", 64)
        # Texts of models that have learnt next to nothing are mostly as bad as each other, and ties are no pairs.
        patch.setattr(
            sequence_world, "quality_fn", lambda prompt, texts: [zlib.crc32(text.encode()) / 2**32 for text in texts]
        )
        patch.setattr(sequence_world, "IMITATION", {"steps": 1, "batch": (8, 64), "learning_rate": 1e-3})
        # A round of one step falls along the line of two, and so it is the program of methods without rounds.
        optimizer = stages._optimizer
        patch.setattr(stages, "_optimizer", lambda num_steps, *arguments: optimizer(TOY["steps"], *arguments))
        yield


def toy(output, **fields):
    sequences = dict(teacher_size=(16, 1), num_prompts=32, output=output)
    return replace(plad.PRESETS["default"], **TOY | sequences | fields)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of every way to get texts: its config, its figures, its report, and every text and pair that it wrote."""
    names = ("SFT", "reverse KL", "PLaD ranking", "PLaD two rounds", "PLaD judged")
    config = toy(tmp_path_factory.mktemp("plad"), methods=names)
    values = plad.main(config)
    return config, values, (config.output / "report.html").read_text(), written(config)


def written(config):
    return {path: path.read_bytes() for path in (config.output / "seed-0").rglob("*.jsonl")}


def test_methods_have_figures_and_costs(finished):
    config, values, report, _ = finished
    assert {name.split("/")[1] for name in values} == {"warm start", "teacher", *config.methods}
    assert all(np.isfinite(list(values.values())))
    assert values["cost/PLaD ranking/tokens"] > 0
    # Methods on the warm student's texts share what they cost; a second round samples as much again, or about that.
    cost = lambda method, figure: values[f"cost/{method}/{figure}"]  # noqa: E731
    assert cost("PLaD ranking", "tokens sampled") == cost("PLaD judged", "tokens sampled") >= 32
    assert cost("PLaD two rounds", "tokens sampled") > cost("PLaD ranking", "tokens sampled")
    assert cost("PLaD ranking", "seconds of sampling") > 0
    assert "cost/reverse KL/tokens sampled" not in values
    assert "Log-probability of the preferred text, nats" in report
    assert "Quality of known texts by their likelihood" in report
    student, info = transformers.AutoModelForCausalLM.from_pretrained(
        config.output / "seed-0" / "PLaD-ranking" / "hf", output_loading_info=True
    )
    assert not any(info.values()) and student.config.hidden_size == 16


def test_a_second_run_repeats_nothing(finished):
    config, values, _, before = finished
    # One draw of the warm student serves every method with pairs; the second round has one of its own.
    assert len([path for path in before if path.name.startswith("pairs-")]) == 2
    assert plad.main(config) == values
    assert written(config) == before


def test_seeds_are_compared_with_their_own_warm_start(finished):
    config, *_, before = finished
    values = plad.main(replace(config, methods=("SFT",), seeds=2))  # the first seed is there already
    assert len(list(config.output.glob("seed-*"))) == 2
    assert written(config) == before
    gain = values["held-out, minus the warm start of the same seed/SFT/true reward"]
    mean = values["held-out/SFT/true reward"] - values["held-out/warm start/true reward"]
    np.testing.assert_allclose(gain, mean, atol=1e-6)


def test_pairs_tell_where_they_are_from(finished):
    files = list((finished[0].output / "seed-0").glob("pairs-*.jsonl"))
    provenances = [json.loads(file.with_name(f"{file.name}.provenance.json").read_text()) for file in files]
    assert sorted(provenance["step"] for provenance in provenances) == [2, 3]  # the second after a round of one step
    for file, provenance in zip(files, provenances, strict=True):
        assert provenance["samples"]["temperature"] == 0.7
        assert provenance["student"] == provenance["samples"]["model"]
        assert len(provenance["teacher"]) == 64
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert rows and all(row["labels"][0] == 1 > row["labels"][1] for row in rows)


def batch(labels):
    """Two prompts with two responses each, of 3 and 2 tokens."""
    mask = np.array([[[1, 1, 1], [1, 1, 0]]] * 2, bool)
    tokens = np.where(mask, np.arange(3, 15).reshape(2, 2, 3), 0).astype(np.int32)
    prompt = np.array([[1, 2], [1, 3]], np.int32)
    where, labels = np.ones((2, 2), bool), np.array(labels, np.float32)
    arrays = prompt, np.ones((2, 2), bool), tokens, mask, labels, where, np.zeros((2, 2), np.float32)
    return ListBatch(*map(jnp.asarray, arrays))


@pytest.fixture(scope="module")
def student():
    config = models.DecoderConfig(32, 16, 32, 1, 2, 1, 8)
    model = models.build(config)
    return model, jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"]


def test_pair_losses_by_their_formulas(student):
    model, params = student
    examples = batch([[0.25, 1.0], [0.5, 0.5]])  # the second response wins; the second prompt prefers neither
    logps = np.asarray(jax.jit(models.response_logps, static_argnums=0)(model, params, examples))
    chosen, rejected = logps[0, 1], logps[0, 0]
    names = ("PLaD ranking", "PLaD margin", "PLaD logistic", "PLaD per token", "PLaD + likelihood")
    loss_fns = {name: methods.METHODS[name].make_loss(model, None, beta=5.0, end_ids=()) for name in names}

    @jax.jit
    def found(params):
        return {name: loss_fn(params, examples, jax.random.key(0)) for name, loss_fn in loss_fns.items()}

    values = {}
    for name, (loss, metrics) in found(params).items():
        np.testing.assert_allclose(metrics["chosen"].value, chosen, rtol=1e-5)
        np.testing.assert_allclose(metrics["rejected"].value, rejected, rtol=1e-5)
        assert loss.denominator == 1
        values[name] = float(loss.value)

    gap = chosen - rejected
    assert abs(gap) < 5  # the hinge is at work
    np.testing.assert_allclose(values["PLaD ranking"], 5 - gap, rtol=1e-5)
    np.testing.assert_allclose(values["PLaD margin"], max(0, 5 * 0.75 - gap), rtol=1e-5)
    np.testing.assert_allclose(values["PLaD logistic"], np.log1p(np.exp(5 - gap)), rtol=1e-5)
    # The four responses have 2.5 tokens on average, the better one 2 and the other 3.
    np.testing.assert_allclose(values["PLaD per token"], max(0, 5 - 2.5 * (chosen / 2 - rejected / 3)), rtol=1e-5)
    np.testing.assert_allclose(values["PLaD + likelihood"], 5 - gap - 4.0 * chosen / 2, rtol=1e-5)


def match(model, teacher_params, divergence_fn, own_share):
    """The loss of matching a teacher of the student's architecture."""
    teacher, end_ids = methods.Policy(model, teacher_params), sequence_world.sequences.make_tokenizer().end_ids
    options = {"divergence_fn": divergence_fn, "own_share": own_share}
    return methods.matching(model, teacher, beta=1.0, end_ids=end_ids, **options)


def test_a_divergence_from_itself_is_nothing(student):
    model, params = student
    loss_fn = jax.jit(match(model, params, losses.forward_kl_divergence, own_share=0.0))
    examples = batch([[1.0, 0.0]] * 2)
    assert abs(float(loss_fn(params, examples, jax.random.key(0))[0].value)) < 1e-6
    other = jax.tree.map(lambda x: 1.5 * x, params)
    assert float(loss_fn(other, examples, jax.random.key(0))[0].value) > 1e-3


def test_own_texts_replace_the_teachers_in_their_share(student):
    model, params = student
    teacher = jax.tree.map(lambda x: 1.5 * x, params)
    pairs = batch([[1.0, 0.0]] * 2)
    prompts = {"prompt_tokens": pairs.prompt_tokens, "prompt_mask": pairs.prompt_mask}
    one = jax.tree.map(lambda x: x[:, :1], pairs)._replace(**prompts)
    loss_fns = [jax.jit(match(model, teacher, losses.reverse_kl_divergence, own_share)) for own_share in (0.0, 1.0)]
    of_teachers, of_own = ([float(f(params, one, jax.random.key(n))[0].value) for n in (0, 1)] for f in loss_fns)
    assert of_teachers[0] == of_teachers[1]
    assert of_own[0] != of_own[1]


def rows(count=60):
    return [
        {
            "prompt_id": f"p{p}",
            "source": "test",
            "prompt": f"Question number {p}?",
            "model": m,
            "response": f"{m} says {p} twice {p}",
            "preference": q,
        }
        for p in range(count)
        for m, q in (("strong", 0.9), ("weak", 0.2))
    ]


def folder(path):
    return long_form.write(path, rows(), rows(4))


def files(output, **fields):
    return replace(plad.PRESETS["files"], **TOY | dict(vocab_size=300, limits=(32, 32), output=output) | fields)


def test_recorded_teachers(tmp_path):
    lists = folder(tmp_path / "lists")
    texts = dict(teacher_outputs=lists / "train.parquet", teacher_name="strong", data=lists)
    config = files(tmp_path / "run", methods=("PLaD ranking",), **texts)
    values = plad.main(config)
    assert "held-out/PLaD ranking/tau of likelihood" in values
    assert "held-out/teacher/ROUGE-L" not in values  # nothing is known of it but its texts
    with pytest.raises(ValueError, match="JSD needs the teacher's logits .* gives texts only"):
        plad.main(replace(config, methods=("JSD",), output=tmp_path / "logits"))
    with pytest.raises(ValueError, match="PLaD judged needs to know the quality of texts"):
        plad.main(replace(config, methods=("PLaD judged",), output=tmp_path / "judged"))
    with pytest.raises(ValueError, match="no text of 'stronk'; its column 'model' has strong, weak"):
        plad.main(replace(config, teacher_name="stronk", output=tmp_path / "name"))


def test_json_lines_without_names_or_lists(tmp_path):
    file = tmp_path / "teacher.jsonl"
    file.write_text("".join(json.dumps({"prompt": r["prompt"], "response": r["response"]}) + "\n" for r in rows()))
    records = file_world.recorded(file, "")
    assert len(records) == 60 and all(len(record.responses) == 2 for record in records)
    assert 0 < sum(map(file_world.is_held_out, records)) < 20


def test_a_directory_of_another_family_and_tokenizer_teaches(finished, tmp_path):
    teacher = finished[0].output / "seed-0" / "SFT" / "hf"
    lists = folder(tmp_path / "lists")
    config = files(tmp_path / "run", teacher=str(teacher), data=lists, methods=("seq-KD",), limits=(12, 4))
    values = plad.main(config)
    assert np.isfinite(values["held-out/seq-KD/ROUGE-L"])
    assert (tmp_path / "run" / "seed-0" / "teacher.jsonl").exists()
    # The same directory as student shares the vocabulary, so logits can be compared.
    shared = files(
        tmp_path / "shared", teacher=str(teacher), student=str(teacher), data=lists, methods=("JSD",), limits=(12, 4)
    )
    assert np.isfinite(plad.main(shared)["held-out/JSD/ROUGE-L"])


def test_a_server_teaches_and_is_paid_once(tmp_path):
    lists = folder(tmp_path / "lists")
    with chat_server.serving() as server:
        config = files(
            tmp_path / "run", teacher=server.url, teacher_name="m", data=lists, methods=("seq-KD",), num_prompts=8
        )
        values = plad.main(config)
        held_out = sum(file_world.is_held_out(record) for record in file_world.recorded(lists / "train.parquet", ""))
        # Neither prompts beyond num_prompts nor those of a second call are asked.
        assert len(server.asked()) == len(set(server.asked())) == 8 + held_out
        assert plad.main(config) == values
        assert len(server.asked()) == 8 + held_out
    texts = [json.loads(line)["texts"][0] for line in (tmp_path / "run/seed-0/teacher.jsonl").read_text().splitlines()]
    assert all(text.startswith("QUESTION NUMBER") for text in texts)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown methods .'magic'.; there are SFT, seq-KD"):
        plad.main(toy(tmp_path, methods=("magic",)))
    with pytest.raises(ValueError, match="no teacher: name its texts"):
        plad.main(files(tmp_path, data=folder(tmp_path / "lists")))


def test_quality_of_the_world_judges_pairs():
    world_pairs = [PreferenceRecord("sort b a =", ("b a", "a b"), (1.0, 0.5))]
    quality = TRUE_QUALITY
    ordered, report = data.order_by_quality(world_pairs, quality)
    assert report.flipped == 1 and ordered[0].labels == (0.0, 1.0)
