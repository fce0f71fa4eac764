"""The rows of the tables: who answers, with which examples, and what is learnt on the way."""

from typing import Literal, NamedTuple

ECHOLM, LARGE_ONLY, ORACLE = "EchoLM", "large only", "oracle"
SMALL_ONLY, SMALL_RANDOM, SMALL_CHOSEN = "small only", "small, random examples", "small, chosen examples"
LOAD_BLIND, REUSE, CLASSIFIER = "EchoLM, blind to load", "semantic cache", "classifier (RouteLLM)"
RANDOM_EXAMPLES, GAIN_REPLAY, RANDOM_REPLAY = (
    "EchoLM, random examples",
    "EchoLM, replay by gain",
    "EchoLM, random replay",
)
MIXES = tuple(f"fixed mix, {share:.0%} small" for share in (0.25, 0.5, 0.75))


class Method(NamedTuple):
    """How requests are served."""

    route: Literal["router", "small", "large", "best", "classifier", "mix"]  # best: by the true qualities
    examples: Literal["none", "random", "chosen", "best"] = "none"  # of the small model; best: those that truly help
    sees_load: bool = True
    reuses: bool = False  # the nearest answer as it is, where it is near enough
    replays: Literal["none", "gain", "random"] = "none"
    small_share: float = 0.0  # of a mix

    @property
    def learns(self) -> bool:
        """Says whether feedback is put to use."""
        return self.route == "router" or self.examples == "chosen"


METHODS = {
    ECHOLM: Method("router", "chosen"),
    LOAD_BLIND: Method("router", "chosen", sees_load=False),
    RANDOM_EXAMPLES: Method("router", "random"),
    GAIN_REPLAY: Method("router", "chosen", replays="gain"),
    RANDOM_REPLAY: Method("router", "chosen", replays="random"),
    SMALL_ONLY: Method("small"),
    SMALL_RANDOM: Method("small", "random"),
    SMALL_CHOSEN: Method("small", "chosen"),
    LARGE_ONLY: Method("large"),
    **{name: Method("mix", "chosen", small_share=share) for name, share in zip(MIXES, (0.25, 0.5, 0.75), strict=True)},
    REUSE: Method("large", reuses=True),
    CLASSIFIER: Method("classifier"),
    ORACLE: Method("best", "best"),
}
