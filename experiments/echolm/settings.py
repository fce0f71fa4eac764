"""Groups of flags of experiments.echolm."""

import dataclasses

from experiments.common.fields import Count, CountOrNone, Positive, Rate, Share


@dataclasses.dataclass(frozen=True)
class Policies:
    """What the policies weigh, and what they are told."""

    cost_weight: Rate = 0.1  # quality, from 0 to 1, that an answer of the large model has to bring
    load_weight: Rate = 1.0  # the most that a full load adds to it
    load_threshold: Rate = 0.8  # of the large model: requests in service and waiting, divided by slots
    half_life: Positive = 10.0  # seconds, of the moving average of the load
    rated: Share = 0.4  # of the answers, that users rate
    asked: Share = 0.2  # of the requests in doubt, for which a second answer is had and compared
    probed: Share = 0.03  # of the requests, of which candidates are tried one by one
    learn_every: Count = 64  # requests between steps of learning
    example_tokens: Count = 2000  # of all examples in a prompt
    replays: CountOrNone = 16  # examples that are replayed every 256 requests, where a method does
    store_bytes: Positive = 3e6  # of all examples; those that bring least are forgotten
