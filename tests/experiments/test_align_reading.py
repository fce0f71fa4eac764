"""experiments.align reads nine layouts, renders them as transformers does, and names wrong settings beforehand."""

import dataclasses
import functools
import json
import re

import jax
import numpy as np
import pytest
import transformers

from experiments.align import __main__ as align
from experiments.align import check, findings, reading, start
from experiments.align.methods import METHODS, Options, default_rate
from experiments.align.settings import Config, Data
from experiments.common.task import Policy
from jaxalign import data, losses, models
from tests.experiments import align_files

LAYOUTS = {
    "pairs": "dpo",
    "conversational pairs": "dpo",
    "implicit-prompt pairs": "ipo",
    "unpaired": "kto",
    "labelled lists": "lambda",
    "ranked lists": "softmax",
    "scored lists": "reward",
    "transcripts": "simpo",
    "conversations": "sft",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return align_files.save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return align_files.write_all(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def theirs(model):
    return transformers.AutoTokenizer.from_pretrained(model)


def config_of(model, path, loss, **options):
    as_chat = path.suffix == ".csv" or "scored" in path.name
    reading_options = {"data": (path,), "held_out": 0.25, "limits": (96, 64), "as_chat": as_chat}
    return Config(model=model, loss=loss, reading=Data(**reading_options | options))


def encoded(config):
    tokenizer = start.load_tokenizer(config)
    records = reading.read(config, METHODS[config.loss])
    return records, start.encode(config, records, tokenizer), tokenizer


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_recognised_and_rendered_as_transformers_does(model, files, theirs, name):
    config = config_of(model, files[name], LAYOUTS[name])
    records, lists, tokenizer = encoded(config)
    assert f": {name}: " in records.told["data"]
    shown = "\n".join(check.examples(lists.train, tokenizer))
    record = records.train[0]
    messages = [dict(message) for message in record.prompt]
    prompt = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert shown.startswith(f"--- example 1, prompt ---\n{prompt}\n--- label ")
    for answer in record.responses:
        whole = theirs.apply_chat_template([*messages, align_files.assistant(answer)], tokenize=False)
        assert whole.startswith(prompt)
        assert f"---\n⟦{whole[len(prompt) :]}⟧" in shown  # what is learnt, the end of the turn with it


def test_prompts_are_held_out_whole_and_everything_is_counted(model, files):
    config = config_of(model, files["conversations"], "sft")
    records, lists, _ = encoded(config)
    # 24 conversations of two answers, the first of which all answer one prompt.
    assert records.told["records"] == "48 with 48 responses to 25 prompts; 23 are exact duplicates of others"
    sides = [set(map(reading.prompt_key, side)) for side in (records.train, records.test)]
    assert not sides[0] & sides[1] and len(sides[1]) == round(0.25 * 25)
    assert len(records.train) + len(records.test) == 48
    given = dataclasses.replace(config, reading=dataclasses.replace(config.reading, test=config.reading.data))
    assert encoded(given)[0].told["overlap"] == "48 of 48 test records have a prompt that is learnt from"


def test_records_become_what_a_loss_takes(model, files):
    records, lists, _ = encoded(config_of(model, files["ranked lists"], "kto"))
    assert {record.labels for record in records.train} == {(1.0, 0.5), (0.0, 0.5)}
    assert len(records.train) == 2 * 18
    ends = encoded(config_of(model, files["labelled lists"], "dpo", responses=2))[0].train
    assert {record.labels for record in ends} == {(0.9, 0.1)}
    best = encoded(config_of(model, files["scored lists"], "sft"))[0]
    assert all(record.responses[0].startswith(align_files.GOOD) for record in best.train)
    with pytest.raises(ValueError, match="--loss dpo compares responses to one prompt, and the data are single"):
        encoded(config_of(model, files["unpaired"], "dpo"))
    with pytest.raises(ValueError, match="needs responses marked good or bad, and the data are examples.*: take sft"):
        encoded(config_of(model, files["conversations"], "kto"))


def test_named_columns_and_files_of_two_kinds(model, files, tmp_path):
    rows = [{"q": question, "+": good, "-": bad} for question, good, bad in align_files.pairs()]
    path = align_files.write_jsonl(tmp_path / "own.jsonl", rows)
    named = config_of(model, path, "dpo", columns=("prompt=q", "chosen=+", "rejected=-"))
    assert len(encoded(named)[0].train) == 18
    with pytest.raises(ValueError, match="expected ROLE=COLUMN, such as prompt=question, got chosen"):
        encoded(config_of(model, path, "dpo", columns=("prompt=q", "chosen")))
    both = config_of(model, path, "dpo")
    both = dataclasses.replace(
        both, reading=dataclasses.replace(both.reading, data=(files["unpaired"], files["conversations"]))
    )
    with pytest.raises(ValueError, match="files of one kind, got examples to learn from and single responses"):
        encoded(both)


# Wrong settings, each on records of its own.


def found_in(model, rows, tmp_path, loss="dpo", *, rate=1e-6, config=None, **options):
    path = align_files.write_jsonl(tmp_path / "rows.jsonl", rows)
    config = config or config_of(model, path, loss)
    config = dataclasses.replace(config, reading=dataclasses.replace(config.reading, data=(path,), **options))
    records, lists, tokenizer = encoded(config)
    learnt = findings.Learnt(records.train, lists.train, tokenizer)
    return findings.find(config, METHODS[config.loss], start.options_of(config), learnt, rate)


def only(found):
    (finding,) = found
    return finding


def test_nothing_is_found_where_nothing_is_wrong(model, tmp_path):
    assert found_in(model, align_files.conversational(), tmp_path) == []


def test_a_missing_chat_template(model, tmp_path, files):
    bare = tmp_path / "bare"
    align_files.save_model(bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    stated = json.loads((bare / "tokenizer_config.json").read_text())
    template = stated.pop("chat_template")
    (bare / "tokenizer_config.json").write_text(json.dumps(stated))
    config = config_of(str(bare), files["conversational pairs"], "dpo")

    def checked(config):
        tokenizer = start.load_tokenizer(config)
        start.check_prompts(config, tokenizer, reading.read(config, METHODS["dpo"]).train)
        return tokenizer

    with pytest.raises(ValueError, match="has no chat template.*--chat-template FILE.jinja, or --chat-template plain"):
        checked(config)
    checked(dataclasses.replace(config, reading=dataclasses.replace(config.reading, chat_template="plain")))
    path = tmp_path / "own.jinja"
    path.write_text(template)
    given = dataclasses.replace(config, reading=dataclasses.replace(config.reading, chat_template=str(path)))
    tokenizer, whole = checked(given), start.load_tokenizer(config_of(model, files["pairs"], "dpo"))
    chat = [align_files.user("over there")]
    assert tokenizer.encode_chat(chat) == whole.encode_chat(chat)
    tokenizer.save(tmp_path / "saved")
    assert data.load_tokenizer(tmp_path / "saved").render_chat(chat) == whole.render_chat(chat)
    with pytest.raises(ValueError, match="has a template of its own"):
        start.load_tokenizer(dataclasses.replace(given, model=model))


def test_an_unknown_end(tmp_path):
    """A template that ends turns with words: nothing that the policy would write ends its text."""
    folder = tmp_path / "endless"
    align_files.save_model(folder)
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    stated["chat_template"] = "{% for m in messages %}{{ m.role }} says {{ m.content }}. {% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))
    finding = only(found_in(str(folder), align_files.conversational(), tmp_path))
    assert finding.is_error and finding.text.startswith("EOS unknown: 36 of 36 complete responses do not end")


def test_a_tokenizer_without_an_end(tmp_path, files):
    folder = tmp_path / "endless"
    align_files.save_model(folder)
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**stated, "eos_token": None}))
    with pytest.raises(ValueError, match="a tokenizer needs eos_token, but its tokenizer_config.json names none"):
        encoded(config_of(str(folder), files["pairs"], "dpo"))


def test_labels_that_are_constant(model, tmp_path):
    finding = only(found_in(model, align_files.lists("labels", [0.5, 0.5, 0.5]), tmp_path))
    assert finding.is_error and "labels are constant within every list" in finding.text
    rows = [*align_files.lists("labels", [0.1, 0.9, 0.2])][:20] + [*align_files.lists("labels", [0.5, 0.5, 0.5])][20:]
    finding = only(found_in(model, rows, tmp_path, held_out=0.0))
    assert not finding.is_error and finding.text.startswith("4 of 24 lists have equal labels only")
    rows = [row | {"label": True} for row in align_files.unpaired()]
    finding = only(found_in(model, rows, tmp_path, "kto"))
    assert finding.is_error and "all responses are desirable" in finding.text


def test_responses_of_one_length_and_cut_ones(model, tmp_path):
    finding = only(found_in(model, align_files.conversational(), tmp_path, limits=(96, 3)))
    assert finding.is_error
    assert finding.text.startswith("responses of one length only: all 36 have 3 tokens, cut by --limits 96 3")
    finding = only(found_in(model, align_files.conversational(), tmp_path, limits=(96, 8)))
    assert not finding.is_error and re.match(r"\d+ of 36 responses are cut at 8 tokens", finding.text)


def test_prompts_that_are_cut_here_or_before(model, tmp_path):
    finding = only(found_in(model, align_files.conversational(), tmp_path, limits=(8, 64)))
    assert finding.text.startswith("18 of 18 prompts lose their beginning, such as a system message")
    rows = [dict(row) for row in align_files.conversational()]
    for number, row in enumerate(rows[:6]):
        row["prompt"] = [align_files.user((f"{number} " + "there is water " * 20)[:120])]
    finding = only(found_in(model, rows, tmp_path, held_out=0.0, limits=(128, 64)))
    assert finding.text.startswith("6 prompts have exactly 120 characters") and "the wrong end" in finding.text


def test_texts_for_a_chat_model(model, tmp_path):
    rows = [{"prompt": question, "chosen": good, "rejected": bad} for question, good, bad in align_files.pairs()]
    assert "--as-chat makes each a user's message" in only(found_in(model, rows, tmp_path)).text


def test_numbers_that_are_out_of_place(model, tmp_path):
    rows = list(align_files.conversational())
    assert "is for models from scratch" in only(found_in(model, rows, tmp_path, rate=3e-3)).text
    base = config_of(model, tmp_path / "rows.jsonl", "hinge")
    strange = dataclasses.replace(base, beta=5.0, label_smoothing=0.1)
    first, second = found_in(model, rows, tmp_path, config=strange)
    assert "--beta 5" in first.text and second.is_error and "--loss hinge knows none" in second.text
    alone = dataclasses.replace(base, loss="orpo", reference="other")
    assert "compares with none" in only(found_in(model, rows, tmp_path, config=alone)).text


def test_log_probabilities_of_another_model():
    findings.check_reference(0.01, tolerance=0.05)
    with pytest.raises(ValueError, match="-3.2 nats a response off the model that the run begins with"):
        findings.check_reference(-3.2, tolerance=0.05)


# Losses.

FAMILY = {
    *("dpo", "robust_dpo", "hinge_dpo", "ipo", "exo_pair", "discopop", "nca_pair", "bco_pair", "sppo_hard", "apo_zero"),
    *("apo_down", "aot", "aot_unpaired", "simpo", "alphapo", "orpo", "cpo", "kto", "bco", "apo_zero_unpaired"),
    *("lambda", "softmax", "list_mle", "pairwise_logistic", "pairwise_hinge", "pointwise_mse", "pointwise_sigmoid"),
}


def test_every_loss_has_a_name():
    """All losses of pairs, lists and single responses of jaxalign.losses, but calibration's, which are PLaD's."""
    named = {name.removesuffix("_loss") for name in losses.__all__ if name.endswith("_loss")}
    assert FAMILY <= named
    assert len(METHODS) == len(FAMILY) + 2  # and sft and reward
    said = align.__doc__.partition("Losses:\n\n")[2].partition("\n\n")[0]
    assert [name.strip() for name in said.replace("\n", " ").split(",")] == list(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_every_loss_makes_a_step(model, files, name):
    """Traced, not computed: what they compute is tested where they are defined."""
    method = METHODS[name]
    layout = {"unpaired": "unpaired", "mismatched": "unpaired", "demonstrations": "conversations"}
    config = config_of(model, files[layout.get(method.reads, "ranked lists")], name)
    _, lists, _ = encoded(config)
    size = start.list_size(config, method, lists.train)
    batch = next(iter(data.list_batches(lists.train, batch_size=8, list_size=size)))
    batch = jax.tree.map(jax.numpy.asarray, batch)
    policy = toy_policy(name == "reward")
    loss_fn = start.make_loss(config, policy.model)
    gradients = jax.eval_shape(
        jax.grad(lambda params: loss_fn(params, batch, jax.random.key(0))[0].value), policy.params
    )
    assert jax.tree.structure(gradients) == jax.tree.structure(policy.params)
    assert default_rate(name, adapter=True) > default_rate(name, adapter=False) > 0


@functools.cache
def toy_policy(is_reward):
    config = models.DecoderConfig(
        vocab_size=320, width=16, mlp_width=32, num_layers=1, num_heads=2, num_kv_heads=1, head_dim=8
    )
    model = models.build(config)
    params = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    if not is_reward:
        return Policy(model, params)
    reward = models.build(models.RewardConfig(config, pooling="last"))
    return Policy(
        reward, jax.eval_shape(lambda params: models.init_reward_params(reward, jax.random.key(0), params), params)
    )


def test_options_have_the_defaults_of_their_papers():
    assert start.options_of(Config(loss="simpo")) == Options(2.0, 0.0, 0.5, 0.0)
    assert start.options_of(Config(loss="orpo")).sft_weight == 1.0
    assert start.options_of(Config(loss="lambda", beta=0.3)).beta == 0.3
