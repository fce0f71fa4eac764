"""transformers' sequence classifiers: a reward model has one label, a classifier of texts has more."""

from collections.abc import Mapping
from typing import Any

from jaxalign.io.hf.families import FAMILIES, Classifier
from jaxalign.io.hf.json_files import without
from jaxalign.io.hf.parts import refuse
from jaxalign.models import ClassifierConfig, EncoderConfig, HeadConfig, MatchingConfig, NetworkConfig, RewardConfig
from jaxalign.models.head_config import PROBLEM_TYPES

REWARD_LABELS = ("REWARD",)
HEAD_KEYS = ("id2label", "label2id", "num_labels", "problem_type")  # they describe a classifier's head


def is_classifier(keys: Mapping[str, Any]) -> bool:
    """Says whether config.json is of a sequence classifier."""
    return str((keys.get("architectures") or [None])[0]).endswith("ForSequenceClassification")


def read_head(keys: Mapping[str, Any], network: NetworkConfig) -> HeadConfig:
    """The config of the sequence classifier that config.json describes, on its network."""
    classifier = FAMILIES[network.family].classifier
    if classifier is None:
        raise refuse(keys, "architectures", keys["architectures"], FAMILIES[network.family].architecture)
    count = _num_labels(keys)
    if count == 1:
        return RewardConfig(network, classifier.pooling)
    return ClassifierConfig(network, _labels(keys, count), _problem_type(keys), classifier.pooling)


def write_head(config: HeadConfig, keys: dict[str, Any], was_classifier: bool) -> dict[str, Any]:
    """The keys of config.json with what they say of the head, which stays as it is where it says what is so."""
    check_class(config)
    keys = keys | {"architectures": [_classifier(config).architecture]}
    stated = read_head(keys, config.backbone) if was_classifier else None
    if isinstance(config, RewardConfig):
        said, labels, problem = isinstance(stated, RewardConfig), REWARD_LABELS, {}
    else:
        said = isinstance(stated, ClassifierConfig) and _meaning(stated) == _meaning(config)
        labels, problem = config.labels, {"problem_type": config.problem_type}
    if said:
        return keys
    names = {str(number): label for number, label in enumerate(labels)}
    numbers = {label: number for number, label in enumerate(labels)}
    return without(keys, HEAD_KEYS) | {"id2label": names, "label2id": numbers} | problem


def check_class(config: HeadConfig) -> None:
    """ValueError for a head that neither transformers nor peft have a class for."""
    if isinstance(config, MatchingConfig):
        raise ValueError(
            "transformers has no classifier that matches with embeddings of classes; write this one with "
            "jaxalign.io.hierarchy_model.save_hierarchy_model, or its backbone alone (config.backbone, "
            "params['backbone'])"
        )


def _meaning(config: ClassifierConfig) -> tuple[tuple[str, ...], str]:
    return config.labels, config.problem_type


def _num_labels(keys: Mapping[str, Any]) -> int:
    """The number of labels: ``num_labels`` goes before ``id2label``, and two is the default, as in transformers."""
    stated, labels = keys.get("num_labels"), keys.get("id2label")
    if stated is not None:
        if not isinstance(stated, int) or isinstance(stated, bool) or stated < 1:
            raise refuse(keys, "num_labels", stated, "a whole number from 1")
        return stated
    if labels is None:
        return 2
    if not isinstance(labels, Mapping) or not labels:
        raise refuse(keys, "id2label", labels, "an object with a name for each label, such as {'0': 'REWARD'}")
    return len(labels)


def _labels(keys: Mapping[str, Any], count: int) -> tuple[str, ...]:
    """Their names: ``LABEL_0`` and so on where the file has not so many, as in transformers."""
    named = keys.get("id2label")
    if not isinstance(named, Mapping) or len(named) != count:
        return tuple(f"LABEL_{number}" for number in range(count))
    names = {str(number): label for number, label in named.items()}
    labels = [names.get(str(number)) for number in range(count)]
    if not all(isinstance(label, str) for label in labels) or len(set(labels)) < count:
        raise refuse(keys, "id2label", named, f"a name of its own for each label from 0 to {count - 1}")
    return tuple(labels)


def _problem_type(keys: Mapping[str, Any]) -> str:
    """What the logits mean: one class a text where the file does not say, as transformers' pipeline reads them."""
    stated = keys.get("problem_type")
    if stated is not None and stated not in PROBLEM_TYPES:
        raise refuse(keys, "problem_type", stated, f"one of {', '.join(PROBLEM_TYPES)} of a model with several labels")
    return stated or PROBLEM_TYPES[0]


def _classifier(config: HeadConfig) -> Classifier:
    """How transformers makes a classifier of the backbone."""
    classifier = FAMILIES[config.family].classifier
    if classifier is None:
        raise ValueError(
            f"transformers' classifier of a {config.family} model is not this reward model: it reads one text with "
            f"both stacks and has a layer with tanh; keep the model as a checkpoint (jaxalign.io.run.checkpoints)"
        )
    if config.pooling != classifier.pooling:
        raise ValueError(
            f"transformers' {classifier.architecture} cannot express pooling {config.pooling!r}, only "
            f"{classifier.pooling!r}; train with that, or keep it as a checkpoint (jaxalign.io.run.checkpoints)"
        )
    if isinstance(config.backbone, EncoderConfig) and not config.backbone.pooler:
        raise ValueError(
            f"transformers' {classifier.architecture} has a pooler before its classifier, this backbone has none; "
            f"train with pooler=True in its EncoderConfig, or keep it as a checkpoint (jaxalign.io.run.checkpoints)"
        )
    return classifier
