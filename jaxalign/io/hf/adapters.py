"""LoRA adapters in the format of the ``peft`` library: adapter_config.json and adapter_model.safetensors.

Tensors are named after the module that they adapt, in one layer: ``base_model.model.<module>.lora_A.weight [rank,
inputs]``, ``lora_B.weight [outputs, rank]``, ``lora_magnitude_vector [outputs]``. Fully trained parameters
(``modules_to_save``) keep their names. Which modules are adapted is read off these names, not off ``target_modules``.

A tied embedding that is fully trained is apart from the output matrix to peft, unless ``ensure_weight_tying`` is set.
"""

import dataclasses
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

from jaxalign.io.hf import adapter_patterns
from jaxalign.io.hf.adapter_patterns import ends
from jaxalign.io.hf.families import FAMILIES
from jaxalign.io.hf.json_files import save_json
from jaxalign.io.hf.names import UNEMBEDDING
from jaxalign.io.hf.read import listing, unexpected, unreadable
from jaxalign.io.hf.resolve import resolve
from jaxalign.io.hf.tensors import Slot, abstract_params, slots
from jaxalign.io.hf.weights import Stored, open_files
from jaxalign.io.hf.write import replacing
from jaxalign.models import (
    ClassifierConfig,
    DecoderConfig,
    EncoderConfig,
    EncoderDecoderConfig,
    LoraConfig,
    ModelConfig,
    RewardConfig,
)
from jaxalign.models.axes import is_map, split_shape
from jaxalign.models.lora_config import match_modules
from jaxalign.models.shapes import shape_differences
from jaxalign.typing import Params

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ROOT = "base_model.model."  # what the modules' names begin with
TASKS = {
    DecoderConfig: "CAUSAL_LM",
    EncoderDecoderConfig: "SEQ_2_SEQ_LM",
    EncoderConfig: "FEATURE_EXTRACTION",
    RewardConfig: "SEQ_CLS",
    ClassifierConfig: "SEQ_CLS",
}
# Keys of adapter_config.json: those that are read, and those that change nothing once the tensors are there. Whatever
# else is set, in this release of peft or a later one, asks for something that is not here.
READ = """peft_type r lora_alpha use_rslora use_dora bias init_lora_weights rank_pattern alpha_pattern modules_to_save
ensure_weight_tying""".split()
IDLE = """auto_mapping base_model_name_or_path eva_config exclude_modules inference_mode layers_pattern
layers_to_transform lora_dropout megatron_core peft_version qalora_group_size revision runtime_config target_modules
task_type""".split()
# Other ways to initialise change the base's weights, without which the tensors are of no use.
INITS = (True, False, "gaussian", "eva", "orthogonal")


def save_adapter(
    directory: str | pathlib.Path, config: ModelConfig, adapter: Params, lora: LoraConfig, *, base: str | None = None
) -> pathlib.Path:
    """Writes an adapter that ``peft.PeftModel.from_pretrained`` loads onto the exported or original base.

    The directory appears under its name when it is complete; an adapter that is there is replaced.

    Args:
      directory: where to write.
      config: the base's config.
      adapter: what ``models.init_lora`` made, trained.
      lora: the config that it was made with.
      base: the base's hub id or directory, for those who load the adapter without naming it.

    Returns:
      The directory.

    Raises:
      ValueError: ``adapter`` is not one of this model with ``lora``, or peft cannot express it.
      FileExistsError: ``directory`` holds something else.
    """
    directory = pathlib.Path(directory)
    leaves, config = flax.traverse_util.flatten_dict(adapter, sep="/"), adapted_config(config, lora)
    targets, saved = match_modules(abstract_params(config), lora)
    places = _places(config, lora, targets, saved)
    _check(config, leaves, places)
    keys = _config_keys(config, lora, places, targets, saved) | {"base_model_name_or_path": base}
    with replacing(directory, _is_adapter) as folder:
        tensors = {f"{ROOT}{slot.prefix}{slot.name}": _take(slot, leaves[slot.path]) for slot in places}
        if _stays_tied(config, saved):  # peft writes both names of what it trains as one
            tensors[ROOT + UNEMBEDDING] = tensors[ROOT + FAMILIES[config.family].names["embedding"].template]
        save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
        save_json(folder / CONFIG, keys)
    return directory


def load_adapter(directory: str | pathlib.Path, config: ModelConfig) -> tuple[LoraConfig, Params]:
    """Reads an adapter in the format of the ``peft`` library.

    Args:
      directory: a directory with adapter_config.json and adapter_model.safetensors, or a hub id.
      config: the base's config, which the adapter must fit; whether it was trained on these weights, no file tells.

    Returns:
      ``(lora, adapter)``, for ``models.apply_lora(params, adapter, lora)``; the adapter is float32.

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
        apart = _apart(config, keys, stored)
        config = dataclasses.replace(config, tied_embeddings=False) if apart else config
        stored = _without_copies(config, stored)
        targets, saved = _contents(config, stored)
        lora = dataclasses.replace(_lora_config(config, keys, targets, saved), ensure_weight_tying=not apart)
        places = _places(config, lora, targets, saved)
        problems = unreadable(places, stored) + unexpected(stored.keys() - {slot.name for slot in places}, stored)
        if problems:
            raise ValueError(f"the adapter in {directory} does not fit this {config.family} model:" + listing(problems))
        adapter = {}
        for path, group in itertools.groupby(places, key=lambda slot: slot.path):
            adapter[path] = jnp.asarray(_read(list(group), stored, directory))
    return lora, flax.traverse_util.unflatten_dict(adapter, sep="/")


def adapted_config(config: ModelConfig, lora: LoraConfig) -> ModelConfig:
    """The config of the model with the adapter: untied, if it trains the output matrix apart from the embedding."""
    if lora.ensure_weight_tying or not getattr(config, "tied_embeddings", False):
        return config
    return dataclasses.replace(config, tied_embeddings=False)


def _places(config: ModelConfig, lora: LoraConfig, targets: Iterable[str], saved: Iterable[str]) -> list[Slot]:
    """Every tensor of an adapter, parameter by parameter."""
    places = []
    for slot in slots(config, shapes := abstract_params(config)):
        if slot.path in saved:
            # T5's stacks have modules of their own in peft, all with the tensor that files hold once.
            places += [slot._replace(name=name) for name in _stack_names(config, slot.name) or [slot.name]]
        elif slot.path in targets:
            stack, inputs, outputs = split_shape(slot.path, shapes[slot.path].shape)
            ranks = lora.ranks(slot.path, stack)
            rank = int(ranks if slot.layer is None else ranks[slot.layer])
            kinds = {
                "_lora_a": (".lora_A.weight", (*inputs, rank), len(inputs)),
                "_lora_b": (".lora_B.weight", (rank, *outputs), 1),
            }
            if lora.dora:
                kinds["_magnitude"] = (".lora_magnitude_vector", outputs, 0)
            places += [
                slot._replace(name=_module(slot) + name, path=slot.path + ending, shape=shape, inputs=inputs)
                for ending, (name, shape, inputs) in kinds.items()
            ]
    return sorted(places, key=lambda slot: slot.path)


def _stack_names(config, name):
    return [copy for copy, kept in FAMILIES[config.family].copies.items() if kept == name and copy != UNEMBEDDING]


def _module(slot):
    return slot.name.rpartition(".")[0]


def _shape(group: list[Slot]) -> tuple[int, ...]:
    """The shape of the parameter that these tensors make up: as wide as the widest layer."""
    widest = tuple(map(max, zip(*(slot.shape for slot in group), strict=True)))
    return widest if group[0].layer is None else (len(group), *widest)


def _place(slot: Slot, leaf: Any) -> Any:
    """Says where the tensor stands in its parameter; a layer of less rank than others fills a part of its room."""
    room = leaf if slot.layer is None else leaf[slot.layer]
    return room[tuple(map(slice, slot.shape))]


def _take(slot: Slot, leaf: Any) -> np.ndarray:
    return slot._replace(layer=None).take(_place(slot, np.asarray(leaf)), "float32")


def _read(group: list[Slot], stored: Mapping[str, Stored], directory: pathlib.Path) -> np.ndarray:
    """The parameter that these tensors make up."""
    leaf = np.zeros(_shape(group), np.float32)
    for number, slot in enumerate(group):
        tensor = np.empty(slot.shape, np.float32)
        slot._replace(layer=None).fill(tensor, stored[slot.name].read())
        if slot.layer is None and number and not np.array_equal(tensor, leaf):
            names = " and ".join(each.name for each in group)
            raise ValueError(
                f"the adapter in {directory} has other values for {names}, which are one parameter here; merge it with "
                f"peft, or train with one of both"
            )
        _place(slot, leaf)[...] = tensor
    return leaf


def _check(config, leaves, places):
    expected = {path: _shape(list(group)) for path, group in itertools.groupby(places, key=lambda slot: slot.path)}
    found = {path: leaf.shape for path, leaf in leaves.items()}
    if problems := shape_differences(expected, found):
        raise ValueError(
            f"the adapter is not one of this {config.family} model with this LoraConfig:{listing(problems)}"
        )


def _stays_tied(config: ModelConfig, saved: Iterable[str]) -> bool:
    return "embedding" in saved and getattr(config, "tied_embeddings", False)


def _config_keys(
    config: ModelConfig, lora: LoraConfig, places: list[Slot], targets: list[str], saved: list[str]
) -> dict[str, Any]:
    """adapter_config.json, without the base's name."""
    tied = _stays_tied(config, saved)
    if tied and isinstance(config, EncoderDecoderConfig):
        raise ValueError(
            f"peft cannot train a {config.family} model's embedding and keep it tied to the output matrix, so this "
            "adapter cannot be written; merge it (models.merge_lora) and save the model"
        )
    base = slots(config, abstract_params(config))
    modules = {slot.prefix + _module(slot): slot for slot in base if slot.name.endswith(".weight")}
    modules_to_save = {slot.prefix + _module(slot) for slot in places if slot.path in saved}
    target_modules = {module: slot for module, slot in modules.items() if slot.path in targets}
    if both := sorted(modules_to_save.intersection(target_modules)):
        raise ValueError(f"peft cannot adapt a module and fully train its bias, as asked for {', '.join(both)}")
    return {
        "peft_type": "LORA",
        "task_type": TASKS[type(config)],
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        **adapter_patterns.write(lora, target_modules, modules),
        "use_rslora": lora.rank_stabilized,
        "use_dora": lora.dora,
        "target_modules": ends(target_modules, modules, "."),
        "modules_to_save": sorted(modules_to_save) or None,
        "ensure_weight_tying": tied,
        "bias": "none",
        "lora_dropout": 0.0,
        "inference_mode": True,
    }


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


def _apart(config: ModelConfig, keys: Mapping[str, Any], stored: Iterable[str]) -> bool:
    """Says whether the adapter trains a tied base's embedding and output matrix apart from each other.

    Embeddings that peft stores without being told to, since a vocabulary was resized, are the base's, and stay tied.
    """
    if not getattr(config, "tied_embeddings", False) or keys.get("ensure_weight_tying"):
        return False
    embedding = FAMILIES[config.family].names["embedding"].template
    both = {name.rpartition(".")[0] for name in (UNEMBEDDING, *(_stack_names(config, embedding) or [embedding]))}
    there = {name.rpartition(".")[0] for name in stored}
    saved = [module for module in both & there if module.endswith(tuple(keys.get("modules_to_save") or ()))]
    return bool(saved) or f"{UNEMBEDDING.rpartition('.')[0]}.lora_A.weight" in stored


def _without_copies(config: ModelConfig, stored: Mapping[str, Stored]) -> dict[str, Stored]:
    """The tensors without those that the base has, too: of modules that are adapted, and of the tied output matrix."""
    shapes = {slot.name: slot.stored_shape for slot in slots(config, abstract_params(config))}
    kept = {}
    for name, tensor in stored.items():
        of_base = ".base_layer." in name and shapes.get(name.replace(".base_layer.", ".")) == tensor.shape
        original = FAMILIES[config.family].copies.get(UNEMBEDDING)
        copy = name == UNEMBEDDING and getattr(config, "tied_embeddings", False) and original in stored
        if not of_base and not (copy and np.array_equal(tensor.read(), stored[original].read())):
            kept[name] = tensor
    return kept


def _contents(config: ModelConfig, stored: Iterable[str]) -> tuple[list[str], list[str]]:
    """The paths of the maps that the tensors adapt, and of the parameters that they hold fully trained."""
    places = slots(config, abstract_params(config))
    targets = {slot.path for slot in places if f"{_module(slot)}.lora_A.weight" in stored}
    saved = {slot.path for slot in places if set(_stack_names(config, slot.name) or [slot.name]) <= set(stored)}
    return sorted(path for path in targets if is_map(path)), sorted(saved)


def _lora_config(config: ModelConfig, keys: Mapping[str, Any], targets: list[str], saved: list[str]) -> LoraConfig:
    """The LoraConfig with the shortest names that choose these parameters."""
    known = abstract_params(config)
    default_targets, default_saved = match_modules(known, LoraConfig(1, 1.0))
    every_map = [path for path in known if is_map(path)]
    adapted = {slot.prefix + _module(slot): slot for slot in slots(config, known) if slot.path in targets}
    return LoraConfig(
        rank=keys["r"],
        alpha=float(keys["lora_alpha"]),
        target_modules=() if targets == default_targets else tuple(ends(targets, every_map, "/")),
        modules_to_save=None if saved == default_saved else tuple(saved),
        rank_stabilized=bool(keys.get("use_rslora")),
        dora=bool(keys.get("use_dora")),
        **adapter_patterns.read(keys, adapted, every_map),
    )
