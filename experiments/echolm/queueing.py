"""Servers of a model as a queue: so many answers at once, first come first served, each taking its own time."""

import heapq
from typing import NamedTuple

import numpy as np


class Speed(NamedTuple):
    """How fast a model answers and how many requests it serves at once."""

    slots: int
    prefill: float  # prompt tokens a second
    decode: float  # tokens a second of each answer


SPEEDS = (Speed(96, 8000.0, 80.0), Speed(64, 4000.0, 25.0))
"""The small and the large model. An answer of 211 tokens to a prompt of 1,155 (the trace's means) takes 2.8 and 8.7 s,
the paper's 2.7 and 8.9 s; at 5.5 requests a second the large model alone would be busy to three quarters."""


class Server:
    """One model's queue."""

    def __init__(self, speed: Speed):
        self.speed = speed
        self._free = [0.0] * speed.slots  # when each slot is free again
        self._ends: list[float] = []  # of requests that were accepted

    def serve(self, arrival: float, prompt_tokens: float, answer_tokens: float) -> float:
        """Accepts a request and returns its latency in seconds: waiting, reading and writing."""
        busy = prompt_tokens / self.speed.prefill + answer_tokens / self.speed.decode
        start = max(arrival, heapq.heappop(self._free))
        heapq.heappush(self._free, start + busy)
        heapq.heappush(self._ends, start + busy)
        return start + busy - arrival

    def load(self, now: float) -> float:
        """Returns requests in service and waiting, divided by slots."""
        while self._ends and self._ends[0] <= now:
            heapq.heappop(self._ends)
        return len(self._ends) / self.speed.slots


def percentile(latencies: np.ndarray, percent: float) -> float:
    """Returns the latency that so many percent of requests do not exceed."""
    return float(np.percentile(latencies, percent, method="higher"))
