"""LoRA adapters in the format of the ``peft`` library: adapter_config.json and adapter_model.safetensors.

Tensors are named after the module that they adapt, in one layer: ``base_model.model.<module>.lora_A.weight [rank,
inputs]``, ``lora_B.weight [outputs, rank]``, ``lora_magnitude_vector [outputs]``. Parameters trained whole keep their
names. Which modules are adapted is read off these names, not off ``target_modules``.
"""

import itertools
import json
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import flax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from jaxalign.io.hf.families import FAMILIES
from jaxalign.io.hf.json_files import save_json
from jaxalign.io.hf.read import listing, unexpected, unreadable
from jaxalign.io.hf.resolve import resolve
from jaxalign.io.hf.tensors import Slot, abstract_params, slots
from jaxalign.io.hf.weights import open_files
from jaxalign.io.hf.write import replacing
from jaxalign.models import DecoderConfig, EncoderConfig, EncoderDecoderConfig, LoraConfig, ModelConfig, RewardConfig
from jaxalign.models.axes import INPUT_AXES, split_shape
from jaxalign.models.lora import chosen
from jaxalign.models.shapes import shape_differences
from jaxalign.typing import Params

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ROOT = "base_model.model."  # of the modules' names
TASKS = {
    DecoderConfig: "CAUSAL_LM",
    EncoderDecoderConfig: "SEQ_2_SEQ_LM",
    EncoderConfig: "FEATURE_EXTRACTION",
    RewardConfig: "SEQ_CLS",
}
# Keys of adapter_config.json: those that are read, and those that change nothing once the tensors are there. Whatever
# else is set, in this release of peft or a later one, asks for something that is not here.
READ = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "bias", "init_lora_weights")
IDLE = """auto_mapping base_model_name_or_path ensure_weight_tying eva_config exclude_modules inference_mode
layers_pattern layers_to_transform lora_dropout megatron_core modules_to_save peft_version qalora_group_size revision
runtime_config target_modules task_type""".split()
# Other ways to initialise change the base's weights, without which the tensors are of no use.
INITS = (True, False, "gaussian", "eva", "orthogonal")


def save_adapter(
    directory: str | pathlib.Path, config: ModelConfig, adapter: Params, lora: LoraConfig, *, base: str | None = None
) -> pathlib.Path:
    """Write an adapter that ``peft.PeftModel.from_pretrained`` loads onto the exported or original base.

    The directory appears under its name when it is complete; an adapter that is there is replaced.

    Args:
      config: of the base.
      base: the base's hub id or directory, for those who load the adapter without naming it.

    Raises:
      ValueError: ``adapter`` is not one of this model with ``lora``, or peft cannot express it.
      FileExistsError: ``directory`` holds something else.
    """
    directory = pathlib.Path(directory)
    leaves, shapes = flax.traverse_util.flatten_dict(adapter, sep="/"), abstract_params(config)
    maps, whole = chosen(shapes, lora)
    places = _places(config, lora, maps, whole)
    _check(config, leaves, places)
    keys = _config_keys(config, lora, maps, whole) | {"base_model_name_or_path": base}
    with replacing(directory, _is_adapter) as folder:
        tensors = {f"{ROOT}{slot.prefix}{slot.name}": slot.take(leaves[slot.path], "float32") for slot in places}
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        save_json(folder / CONFIG, keys)
    return directory


def load_adapter(directory: str | pathlib.Path, config: ModelConfig) -> tuple[LoraConfig, Params]:
    """How an adapter of peft, in a directory or on the hub, is applied, and its parameters in float32.

    Args:
      config: of the base, which the adapter must fit; whether it was trained on these weights, no file tells.

    Raises:
      FileNotFoundError: no such directory, or no adapter in it.
      ValueError: it is another kind of adapter, uses an option that is not here, or does not fit the model.
    """
    directory = resolve(directory)
    for name in CONFIG, WEIGHTS:
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory / name} is missing; pass a directory that peft saved, in safetensors")
    keys = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    _check_keys(keys, directory / CONFIG)
    with open_files([directory / WEIGHTS]) as found:
        stored = {_plain(name, config): tensor for name, tensor in found.items()}
        maps, whole = _contents(config, stored)
        lora = _lora_config(config, keys, maps, whole)
        places = _places(config, lora, maps, whole)
        problems = unreadable(places, stored) + unexpected(stored.keys() - {slot.name for slot in places}, stored)
        if problems:
            raise ValueError(f"the adapter in {directory} does not fit this {config.family} model:" + listing(problems))
        adapter = {}
        for path, group in itertools.groupby(places, key=lambda slot: slot.path):
            group = list(group)
            leaf = np.empty(_shape(group), np.float32)
            for slot in group:
                slot.fill(leaf, stored[slot.name].read())
            adapter[path] = jnp.asarray(leaf)
    return lora, flax.traverse_util.unflatten_dict(adapter, sep="/")


def _places(config: ModelConfig, lora: LoraConfig, maps: Iterable[str], whole: Iterable[str]) -> list[Slot]:
    """Every tensor of an adapter, parameter by parameter."""
    places = []
    for slot in slots(config, abstract_params(config)):
        if slot.path in whole:
            places.append(slot)
        elif slot.path in maps:
            _, inputs, outputs = split_shape(slot.path, slot.shape)
            kinds = {
                "_lora_a": (".lora_A.weight", (*inputs, lora.rank), len(inputs)),
                "_lora_b": (".lora_B.weight", (lora.rank, *outputs), 1),
            }
            if lora.dora:
                kinds["_magnitude"] = (".lora_magnitude_vector", outputs, 0)
            places += [
                slot._replace(name=_module(slot) + name, path=slot.path + ending, shape=shape, inputs=inputs)
                for ending, (name, shape, inputs) in kinds.items()
            ]
    return sorted(places, key=lambda slot: slot.path)


def _module(slot):
    return slot.name.rpartition(".")[0]


def _shape(group):
    """Of the parameter that these tensors make up."""
    return group[0].shape if group[0].layer is None else (len(group), *group[0].shape)


def _check(config, leaves, places):
    expected = {path: _shape(list(group)) for path, group in itertools.groupby(places, key=lambda slot: slot.path)}
    found = {path: leaf.shape for path, leaf in leaves.items()}
    if problems := shape_differences(expected, found):
        raise ValueError(
            f"the adapter is not one of this {config.family} model with this LoraConfig:{listing(problems)}"
        )


def _config_keys(config: ModelConfig, lora: LoraConfig, maps: list[str], whole: list[str]) -> dict[str, Any]:
    """adapter_config.json, without the base's name."""
    if "embedding" in whole and getattr(config, "tied_embeddings", False):
        raise ValueError(
            "peft would train a tied embedding apart from the output matrix, so this adapter cannot be written; "
            "merge it (models.merge_lora) and save the model"
        )
    places = slots(config, abstract_params(config))
    modules = {slot.prefix + _module(slot): slot.path for slot in places if slot.name.endswith(".weight")}
    saved = {slot.prefix + _module(slot) for slot in places if slot.path in whole}
    targets = [module for module, path in modules.items() if path in maps]
    if both := sorted(saved.intersection(targets)):
        raise ValueError(f"peft cannot adapt a module and train its bias whole, as asked for {', '.join(both)}")
    return {
        "peft_type": "LORA",
        "task_type": TASKS[type(config)],
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "use_rslora": lora.rank_stabilized,
        "use_dora": lora.dora,
        "target_modules": _ends(targets, modules, "."),
        "modules_to_save": sorted(saved) or None,
        "bias": "none",
        "lora_dropout": 0.0,
        "inference_mode": True,
    }


def _ends(names: Iterable[str], everything: Iterable[str], separator: str) -> list[str]:
    """The shortest ends that fit all of ``names`` and nothing else of ``everything``."""
    names, ends = set(names), set()
    others = [separator + other for other in everything if other not in names]
    for name in names:
        parts = name.split(separator)
        candidates = (separator.join(parts[start:]) for start in reversed(range(len(parts))))
        ends.add(next((end for end in candidates if not any(o.endswith(separator + end) for o in others)), name))
    return sorted(ends)


def _is_adapter(directory):
    return {file.name for file in directory.iterdir()} <= {CONFIG, WEIGHTS}


def _check_keys(keys: Mapping[str, Any], file: pathlib.Path) -> None:
    if keys.get("peft_type") != "LORA":
        raise ValueError(f"{file} has peft_type {keys.get('peft_type')!r}; only 'LORA' is read")
    refused = [f"{key} = {value!r}" for key, value in keys.items() if value and key not in (*READ, *IDLE)]
    if keys.get("bias", "none") != "none":
        refused.append(f"bias = {keys['bias']!r}")
    if keys.get("init_lora_weights", True) not in INITS:
        refused.append(f"init_lora_weights = {keys['init_lora_weights']!r}, which changes the base")
    if refused:
        raise ValueError(f"{file} asks for what is not here: {'; '.join(refused)}; merge the adapter with peft instead")


def _plain(name: str, config: ModelConfig) -> str:
    """A tensor's name without the wrapper's parts and the family's dialects; releases differ in the magnitude's."""
    name = re.sub(r"\.lora_magnitude_vector\.weight$", ".lora_magnitude_vector", name.removeprefix(ROOT))
    return FAMILIES[config.family].spelling.plain(name) or name


def _contents(config: ModelConfig, stored: Iterable[str]) -> tuple[list[str], list[str]]:
    """The paths of the maps that the tensors adapt, and of the parameters that they hold whole."""
    places = slots(config, abstract_params(config))
    maps = {slot.path for slot in places if f"{_module(slot)}.lora_A.weight" in stored}
    whole = {slot.path for slot in places if slot.name in stored}
    return sorted(path for path in maps if path.rpartition("/")[2] in INPUT_AXES), sorted(whole)


def _lora_config(config: ModelConfig, keys: Mapping[str, Any], maps: list[str], whole: list[str]) -> LoraConfig:
    """With the shortest names that choose these parameters."""
    known = list(abstract_params(config))
    usual_maps, usual_whole = chosen(known, LoraConfig(1, 1.0))
    every_map = [path for path in known if path.rpartition("/")[2] in INPUT_AXES]
    return LoraConfig(
        rank=keys["r"],
        alpha=float(keys["lora_alpha"]),
        targets=() if maps == usual_maps else tuple(_ends(maps, every_map, "/")),
        whole=None if whole == usual_whole else tuple(whole),
        rank_stabilized=bool(keys.get("use_rslora")),
        dora=bool(keys.get("use_dora")),
    )
