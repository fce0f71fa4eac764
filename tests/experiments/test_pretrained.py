"""A pretrained start has rates of its own, unless the command line has others; a preset that names one keeps its."""

import dataclasses

import pytest

from experiments import reward_model
from experiments.common import machines
from experiments.lipo import __main__ as lipo
from experiments.plad import __main__ as plad
from experiments.rrm import __main__ as rrm
from jaxalign import models
from jaxalign.io import hf
from tests.experiments import align_files


def parsed(module, *arguments):
    return machines.command_line(module.PRESETS, list(arguments), module.RATES)[0]


def test_rates_of_a_pretrained_policy(capsys):
    scratch = parsed(lipo, "alpacaeval")
    assert (scratch.sft.sft_learning_rate, scratch.learning_rate) == (3e-3, 1e-4)
    assert capsys.readouterr().err == ""
    begun = parsed(lipo, "alpacaeval", "--model", "org/name")
    assert (begun.sft.sft_learning_rate, begun.learning_rate) == (2e-5, 5e-6)
    said = capsys.readouterr().err
    assert said == "defaults of a pretrained start: --sft-learning-rate 2e-05, --learning-rate 5e-06\n"
    adapted = parsed(lipo, "alpacaeval", "--model", "org/name", "--lora-rank", "8", "--sft-learning-rate", "0.001")
    assert (adapted.sft.sft_learning_rate, adapted.learning_rate) == (1e-3, 5e-5)  # what is said counts
    named = parsed(lipo, "tldr")
    assert named.learning_rate == lipo.PRESETS["tldr"].learning_rate


def test_rates_of_a_student():
    assert parsed(plad, "files", "--student", "org/name").learning_rate == 2e-5
    assert parsed(plad, "files").learning_rate == 3e-4


@pytest.mark.parametrize("module", [rrm, reward_model])
def test_rates_of_a_backbone_by_its_kind(module, tmp_path, monkeypatch):
    decoder = align_files.save_model(tmp_path / "decoder")
    assert parsed(module, "alpacaeval", "--backbone", decoder).learning_rate == 1e-5
    encoder = models.EncoderConfig(vocab_size=8, width=4, mlp_width=8, num_layers=1, num_heads=1)
    monkeypatch.setattr(hf, "read_config", lambda directory: encoder)
    assert parsed(module, "alpacaeval", "--backbone", decoder).learning_rate == 1e-4
    assert dataclasses.replace(parsed(module), output=None) == dataclasses.replace(module.DEFAULT, output=None)
