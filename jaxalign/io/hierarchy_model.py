"""A classifier with a taxonomy in a folder: an ordinary Hugging Face directory of its encoder, and two files more.

    class_matching.safetensors  interaction [D, E] and class_embeddings [C, E], float32
    taxonomy.json               ids, names and parents of the classes; pooling, class_width, max_tokens; hashes

transformers' ``AutoModel`` loads the encoder, and README.md says how logits are made of its states. The hashes are of
the encoder's weights, and of the two arrays with the ids and the pooling: class embeddings mean nothing beside another
encoder or in another order, and no shape would tell. Names and parents may be edited.
"""

import json
import pathlib
from typing import Any, NamedTuple

import flax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from jaxalign.data import Tokenizer, fingerprint, load_tokenizer
from jaxalign.files import write_json
from jaxalign.io import hf
from jaxalign.io.hf.write import exporting
from jaxalign.io.hierarchy_card import render_section
from jaxalign.models import EncoderConfig, MatchingConfig
from jaxalign.taxonomy import Taxonomy
from jaxalign.typing import Params

TAXONOMY, MATCHING = "taxonomy.json", "class_matching.safetensors"
FORMAT = 1  # of both files
CARD = hf.ModelCard("A hierarchical classifier trained with jaxalign")
ANEW = "save the model again (jaxalign.io.hierarchy_model), or copy the whole folder again"


class HierarchyModel(NamedTuple):
    """A trained classifier of texts whose classes stand above and below each other.

    Attributes:
      taxonomy: its C classes, whose ids are ``config.labels``.
      config: of the network that ``models.build`` makes, on an encoder.
      params: ``{"backbone": ..., "head": {"interaction": ..., "class_embeddings": ...}}``.
      tokenizer: of the encoder.
      max_tokens: what texts were cut at in training, those around the text included.
    """

    taxonomy: Taxonomy
    config: MatchingConfig
    params: Params
    tokenizer: Tokenizer
    max_tokens: int


def save_hierarchy_model(
    directory: str | pathlib.Path, model: HierarchyModel, *, card: hf.ModelCard = CARD
) -> pathlib.Path:
    """Writes a folder that :func:`load_hierarchy_model` reads, and whose encoder transformers' ``AutoModel`` loads.

    The folder appears under its name when it is complete, and replaces an earlier export there. Weights are float32.

    Args:
      directory: where to write.
      model: the classifier; one whose encoder was frozen has the encoder's pretrained parameters as its backbone.
      card: title, description and metadata of the README.md, which says itself what the classes and the logits are.

    Returns:
      The directory.

    Raises:
      ValueError: the labels are not the taxonomy's ids, the parameters are not the config's, its backbone is no
        encoder, or has no positions for ``max_tokens``.
      FileExistsError: ``directory`` holds something other than an export.
    """
    taxonomy, config, params, tokenizer, max_tokens = model
    _check(model)
    matching = {name: np.ascontiguousarray(leaf, np.float32) for name, leaf in params["head"].items()}
    _check_shapes(config, matching, "params['head']", "pass the parameters of models.build(config)")
    backbone = _float32(params["backbone"])
    content = {
        "format": FORMAT,
        "ids": taxonomy.ids,
        "names": taxonomy.names,
        "parents": taxonomy.parents,
        "pooling": config.pooling,
        "class_width": config.class_width,
        "max_tokens": max_tokens,
        "hashes": _hashes(config, backbone, matching),
    }
    with exporting(directory, config.backbone, backbone, tokenizer, dtype="float32", card=card) as folder:
        save_file(matching, folder / MATCHING, metadata={"format": "pt"})
        write_json(folder / TAXONOMY, content)
        readme = folder / "README.md"
        section = render_section(taxonomy, config, max_tokens)
        readme.write_text(readme.read_text(encoding="utf-8") + section, encoding="utf-8")
    return pathlib.Path(directory)


def load_hierarchy_model(directory: str | pathlib.Path) -> HierarchyModel:
    """Reads a classifier that :func:`save_hierarchy_model` wrote.

    Args:
      directory: the folder, or a hub id that holds one.

    Returns:
      The classifier; ``models.class_probabilities(models.build(model.config), model.params, tokens, mask)`` gives the
      probabilities of texts.

    Raises:
      FileNotFoundError: no such folder, or a file in it is missing.
      ValueError: a file is damaged, or encoder, class embeddings and taxonomy are not of one model.
    """
    directory = hf.resolve(directory)
    for name in TAXONOMY, MATCHING:
        if not (directory / name).is_file():
            raise FileNotFoundError(
                f"{directory / name} is missing; pass a folder that save_hierarchy_model wrote, with all its files "
                "(tools.classify takes classifiers without a taxonomy)"
            )
    taxonomy, content = _read_taxonomy(directory / TAXONOMY)
    backbone, params = hf.load_pretrained(directory)
    if not isinstance(backbone, EncoderConfig):
        raise ValueError(f"{directory} holds a {type(backbone).__name__}, expected an encoder; {ANEW}")
    try:
        config = MatchingConfig(backbone, taxonomy.ids, content["class_width"], content["pooling"])
        matching = load_file(directory / MATCHING)
    except SafetensorError as error:
        raise ValueError(f"{directory / MATCHING} is not complete ({error}); {ANEW}") from error
    _check_shapes(config, matching, directory / MATCHING, ANEW)
    _check_hashes(directory, content["hashes"], _hashes(config, params, matching))
    head = {name: jnp.asarray(leaf) for name, leaf in matching.items()}
    model = HierarchyModel(
        taxonomy, config, {"backbone": params, "head": head}, load_tokenizer(directory), content["max_tokens"]
    )
    _check(model)
    return model


def _read_taxonomy(file: pathlib.Path) -> tuple[Taxonomy, dict[str, Any]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, and this release reads {FORMAT}")
        for name, kind in (("class_width", int), ("max_tokens", int), ("pooling", str), ("hashes", dict)):
            if not isinstance(content[name], kind):
                raise TypeError(f"{name}: {content[name]!r}")
        taxonomy = Taxonomy(tuple(content["names"]), tuple(map(tuple, content["parents"])), tuple(content["ids"]))
    except KeyError as error:
        raise ValueError(f"{file} lacks {error}; {ANEW}") from error
    except (ValueError, TypeError, AttributeError) as error:  # JSON's and UTF-8's errors are of the first
        raise ValueError(f"{file} is not as it was written ({error}); {ANEW}") from error
    return taxonomy, content


def _check(model: HierarchyModel) -> None:
    taxonomy, config = model.taxonomy, model.config
    if not isinstance(config.backbone, EncoderConfig):
        raise ValueError(
            f"expected a classifier on an encoder, got one on a {type(config.backbone).__name__}; keep it as a "
            "checkpoint (jaxalign.io.run.checkpoints)"
        )
    if config.labels != taxonomy.ids:
        pairs = zip(config.labels, taxonomy.ids, strict=False)
        place = next((place for place, (ours, theirs) in enumerate(pairs) if ours != theirs), None)
        differs = f"class {place} is {config.labels[place]!r} and {taxonomy.ids[place]!r}" if place is not None else ""
        raise ValueError(
            f"expected config.labels to be the taxonomy's ids in their order, got {len(config.labels)} labels and "
            f"{len(taxonomy.ids)} ids{differs and ': ' + differs}; build the config with labels=taxonomy.ids"
        )
    if not 1 <= model.max_tokens <= config.backbone.max_length:
        raise ValueError(
            f"max_tokens: expected from 1 to the encoder's {config.backbone.max_length} positions, got "
            f"{model.max_tokens}; pass what texts were cut at in training"
        )


def _check_shapes(config: MatchingConfig, matching: Params, where: Any, remedy: str) -> None:
    width, class_width = config.backbone.width, config.class_width
    expected = {"interaction": (width, class_width), "class_embeddings": (len(config.labels), class_width)}
    found = {name: np.shape(leaf) for name, leaf in matching.items()}
    if found != expected:
        raise ValueError(
            f"{where}: expected {expected}, for {len(config.labels)} classes, got {found}, of another model; {remedy}"
        )


def _check_hashes(directory: pathlib.Path, stated: dict[str, str], found: dict[str, str]) -> None:
    words = {
        "encoder": f"the encoder's weights are not those that {MATCHING} was trained with",
        "classes": f"{MATCHING} and the ids, their order or the pooling in {TAXONOMY} are not of one model",
    }
    if wrong := [words[name] for name, value in found.items() if stated.get(name) != value]:
        raise ValueError(f"{directory}: {'; '.join(wrong)}; {ANEW}")


def _hashes(config: MatchingConfig, backbone: Params, matching: Params) -> dict[str, str]:
    flat = flax.traverse_util.flatten_dict(backbone, sep="/")
    classes = {"ids": list(config.labels), "pooling": config.pooling, **matching}
    return {"encoder": fingerprint(flat), "classes": fingerprint(classes)}


def _float32(params: Params) -> Params:
    flat = flax.traverse_util.flatten_dict(params)
    return flax.traverse_util.unflatten_dict({path: np.asarray(leaf, np.float32) for path, leaf in flat.items()})
