"""experiments.plad at toy size: every method learns, every kind of teacher writes, nothing is done twice."""

import argparse
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
from experiments.plad import figures, file_world, learning, made_texts, methods, own_texts, sequence_world, worlds
from jaxalign import data, losses, models, training
from jaxalign.data import Outputs, PreferenceRecord
from jaxalign.typing import ListBatch
from tests.experiments import long_form
from tests.io.llm import chat_server

TOY = dict(size=(16, 1), warm_steps=2, steps=2, batch=8, refresh=1, seeds=1)


def made_up_quality(prompt, text):
    return zlib.crc32(text.encode()) / 2**32


@pytest.fixture(autouse=True, scope="module")
def small_world():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence_world, "NUM_TEST", 8)
        patch.setattr(sequence_world, "DEMONSTRATIONS", 64)
        # Texts of models that have learnt next to nothing are mostly as bad as each other, and ties are no pairs.
        kind = made_texts.KINDS["sequences"]._replace(quality=made_up_quality)
        patch.setitem(made_texts.KINDS, "sequences", kind)
        patch.setattr(sequence_world, "ROWS", 8)
        # A round of one step falls along the line of two, and so it is the program of methods without rounds.
        optimizer = stages._optimizer
        patch.setattr(stages, "_optimizer", lambda num_steps, *arguments: optimizer(TOY["steps"], *arguments))
        yield


def toy(output, **fields):
    sequences = dict(teacher_size=(16, 1), imitation_steps=(1, 1), num_prompts=32, output=output)
    return replace(plad.PRESETS["default"], **TOY | sequences | fields)


class Seen:
    """What the stages of a run were given."""

    def __init__(self, patch):
        self.pools, self.trained, self.rates = [], [], {}
        patch.setattr(figures, "grade", self.watched(figures.grade, lambda policy, pool: self.pools.append(pool)))
        patch.setattr(stages, "train", self.watched(stages.train, self.training))

    def watched(self, function, look):
        def call(*arguments, **options):
            look(*arguments, **options)
            return function(*arguments, **options)

        return call

    def training(self, policy, tokenizer, batches, loss_fn, directory, *arguments, learning_rate, **options):
        method = directory.parent.name if directory.name.startswith("round-") else directory.name
        self.trained.append((method, data.fingerprint(policy.params)))
        self.rates[method] = learning_rate

    def students(self, method):
        """The students that its trainings began with."""
        return [student for name, student in self.trained if name == method]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of every way to get texts: its config, its figures, what it saw, and every text and pair that it wrote."""
    names = ("SFT", "reverse KL", "better text", "PLaD ranking", "PLaD fixed pairs", "PLaD judged")
    config = toy(tmp_path_factory.mktemp("plad"), methods=names)
    with pytest.MonkeyPatch.context() as patch:
        seen = Seen(patch)
        values = plad.main(config)
    return config, values, seen, written(config)


def written(config):
    return {path: path.read_bytes() for path in (config.output / "seed-0").rglob("*.jsonl")}


def test_methods_have_figures_and_costs(finished):
    config, values, _, _ = finished
    assert {name.split("/")[1] for name in values} == {"warm start", "teacher", *config.methods}
    assert all(np.isfinite(list(values.values())))
    assert values["cost/PLaD ranking/tokens"] > 0
    # Two rounds of eight prompts each; fixed pairs are of the sixteen prompts that two steps take, all at once.
    cost = lambda method, figure: values[f"cost/{method}/{figure}"]  # noqa: E731
    assert cost("PLaD ranking", "tokens sampled") >= 16 <= cost("PLaD fixed pairs", "tokens sampled")
    assert cost("PLaD ranking", "seconds of sampling") > 0
    assert "cost/reverse KL/tokens sampled" not in values
    report = (config.output / "report.html").read_text()
    assert "Log-probability of the preferred text, nats" in report
    assert "Quality of known texts by their likelihood" in report
    student, info = transformers.AutoModelForCausalLM.from_pretrained(
        config.output / "seed-0" / "PLaD-ranking" / "hf", output_loading_info=True
    )
    assert not any(info.values()) and student.config.hidden_size == 16


def test_quality_by_how_texts_are_chosen(finished):
    _, values, _, _ = finished
    for policy in ("warm start", "PLaD ranking", "teacher"):
        greedy, sampled, best, likeliest = (
            values[f"held-out/{policy}/{name}"] for name in ("greedy", "sampled", "best of 4", "likeliest of 4")
        )
        assert sampled < best and likeliest <= best and 0 <= greedy <= 1


def test_a_second_run_repeats_nothing(finished):
    config, values, _, before = finished
    # Two snapshots of "PLaD ranking", two of "PLaD judged", and the fixed pairs; both begin with the warm student.
    assert len([path for path in before if path.name.startswith("pairs-")]) == 4
    assert plad.main(config) == values
    assert written(config) == before


def test_seeds_are_compared_with_their_own_warm_start(finished):
    config, *_, before = finished
    values = plad.main(replace(config, methods=("SFT",), seeds=2))  # the first seed is there already
    assert len(list(config.output.glob("seed-*"))) == 2
    assert written(config) == before
    gain = values["held-out, minus warm start of the same seed/SFT/greedy"]
    mean = values["held-out/SFT/greedy"] - values["held-out/warm start/greedy"]
    np.testing.assert_allclose(gain, mean, atol=1e-6)


def test_fresh_pairs_are_of_the_current_student(finished):
    config, _, seen, before = finished
    files = [path for path in before if path.name.startswith("pairs-")]
    provenances = [json.loads(file.with_name(f"{file.name}.provenance.json").read_text()) for file in files]
    assert sorted(provenance["step"] for provenance in provenances) == [2, 2, 3, 3]  # after the warm start, and a step
    start, later = seen.students("PLaD-ranking")
    assert start != later and start == seen.students("PLaD-judged")[0]
    students = {start, later, seen.students("PLaD-judged")[1]}
    assert {provenance["student"] for provenance in provenances} == students
    assert seen.students("PLaD-fixed-pairs") == [start]
    assert len(seen.students("better-text")) == 2
    for file, provenance in zip(files, provenances, strict=True):
        assert provenance["samples"]["temperature"] == config.negative_temperature == 1.0
        assert provenance["student"] == provenance["samples"]["model"]
        assert len(provenance["teacher"]) == 64
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert rows and all(row["labels"][0] == 1 > row["labels"][1] for row in rows)


def test_pairs_take_a_tenth_of_the_rate(finished):
    config, _, seen, _ = finished
    pairs = {name: rate for name, rate in seen.rates.items() if name.startswith("PLaD")}
    assert set(pairs) == {"PLaD-ranking", "PLaD-fixed-pairs", "PLaD-judged"}
    np.testing.assert_allclose(list(pairs.values()), config.learning_rate / 10)
    assert {seen.rates[name] for name in ("warm", "SFT", "reverse-KL", "better-text")} == {config.learning_rate}


def test_all_rank_one_pool(finished):
    """Of the texts of the warm start and the teacher, each once, with its quality."""
    config, _, seen, _ = finished
    assert len(seen.pools) == 2 + len(config.methods)
    pool = seen.pools[0]
    assert all(other is pool for other in seen.pools)
    tokenizer = sequence_world.sequences.make_tokenizer()
    for number in range(len(pool)):
        prompt = tokenizer.decode(pool.prompt(number))
        texts = [tokenizer.decode(pool.response(n)) for n in range(*pool.list_starts[number : number + 2])]
        assert 1 < len(texts) == len(set(texts)) <= 2 * sequence_world.POOLED
        labels = pool.labels[slice(*pool.list_starts[number : number + 2])]
        np.testing.assert_allclose(labels, [made_up_quality(prompt, text) for text in texts], rtol=1e-6)


def test_greedy_texts_depend_on_no_key(finished):
    config, values, _, _ = finished
    world = worlds.make_world(config, 0, config.output / "seed-0", jax.random.split(jax.random.key(0), 4)[0])
    found = [world.evaluate({"teacher": world.teacher}, jax.random.key(n))["teacher"] for n in (5, 6)]
    assert found[0]["greedy"] == found[1]["greedy"]
    assert found[0]["greedy"].value == values["held-out/teacher/greedy"]
    assert found[0]["sampled"] != found[1]["sampled"]


def test_the_better_text_is_imitated(capsys):
    outputs = [
        Outputs("p", ("good",), ("bad",), "0", ((7,),)),
        Outputs("p", ("bad",), ("good",), "1", ((8,),)),
        Outputs("p", ("good",), ("also good",), "2", ((9,),)),
        Outputs("p", ("good",), (), "3", ()),
    ]
    quality = {"good": 1.0, "also good": 1.0, "bad": 0.0}
    found = own_texts.better_texts(outputs, lambda prompt, texts: [quality[text] for text in texts])
    assert [(each.id, each.responses, each.tokens) for each in found] == [
        ("0", ("good",), (None,)),
        ("1", ("good",), ((8,),)),
        ("2", ("good",), (None,)),
    ]
    assert "the student's to 1 of 3 prompts" in capsys.readouterr().out


def test_a_round_takes_the_next_prompts():
    records = list("abcde")
    assert learning.next_prompts(records, 3, 4) == ["d", "e", "a", "b"]
    assert learning.next_prompts(records, 7, 9) == ["c", "d", "e", "a", "b"]  # none twice


def test_a_round_without_pairs_changes_nothing_and_says_so(monkeypatch, tmp_path, capsys):
    given = []
    monkeypatch.setattr(learning, "examples_for", lambda world, method, snapshot: given.pop(0))
    monkeypatch.setattr(learning, "Snapshot", lambda *fields, **more: argparse.Namespace(step=2, samples_file=tmp_path))
    monkeypatch.setattr(learning, "_train", lambda config, world, method, policy, *rest: policy + 1)
    config, world = toy(tmp_path), argparse.Namespace(train=[PreferenceRecord("p", ("a",), (1.0,))])
    given[:] = [[], ["a pair"]]
    learnt = learning.learn(config, world, "PLaD ranking", 5, tmp_path, jax.random.key(0))
    assert learnt == (6, 2, [tmp_path] * 2)
    assert "PLaD ranking: nothing to learn from in the 1 steps after 2; the student stays" in capsys.readouterr().out


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
    names = ("PLaD ranking", "PLaD margin", "PLaD logistic", "PLaD per token", "PLaD + likelihood", "PLaD + KL")
    options = {"start": methods.Policy(model, jax.tree.map(lambda x: 1.5 * x, params)), "beta": 5.0, "end_ids": ()}
    loss_fns = {name: methods.METHODS[name].make_loss(model, None, **options) for name in names}

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
    # Four times the divergence per token of all four responses, ties included.
    to_start = training.make_distillation_loss(model, *options["start"], divergence_fn=losses.reverse_kl_divergence)
    departure = float(jax.jit(to_start)(params, examples, jax.random.key(0))[0].value)
    assert departure > 1e-3
    np.testing.assert_allclose(values["PLaD + KL"], 5 - gap + 4.0 * departure, rtol=1e-5)


def match(model, teacher_params, divergence_fn, own_share):
    """The loss of matching a teacher of the student's architecture."""
    teacher, end_ids = methods.Policy(model, teacher_params), sequence_world.sequences.make_tokenizer().end_ids
    options = {"divergence_fn": divergence_fn, "own_share": own_share}
    return methods.matching(model, teacher, start=teacher, beta=1.0, end_ids=end_ids, **options)


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
