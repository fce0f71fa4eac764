import json
import math
import os
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from jaxalign.io.run import writers
from jaxalign.numerics import Ratio


def tensorboard_scalars(directory):
    """(step, name) -> value, from the records of all event files: length, checksum, event, checksum."""
    scalars = {}
    for path in sorted((directory / "tensorboard").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            scalars |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
            data = data[16 + length :]
    return scalars


def test_rows_and_events(tmp_path):
    with writers.MetricsWriter(tmp_path) as writer:
        writer.write(1, {"loss": 0.5})
        assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "loss": 0.5}\n'  # at once
        writer.write(2, {"loss": math.nan, "eval/margin": 2.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[1]) == {
        "step": 2,
        "loss": None,
        "eval/margin": 2,
    }
    first, second = writers.read_metrics(tmp_path)
    assert first == {"step": 1, "loss": 0.5}
    assert math.isnan(second.pop("loss")) and second == {"step": 2, "eval/margin": 2.0}
    scalars = tensorboard_scalars(tmp_path)
    assert scalars[1, "loss"] == 0.5 and scalars[2, "eval/margin"] == 2 and math.isnan(scalars[2, "loss"])


def test_later_rows_and_a_cut_line_go(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 3, "lo')
    assert [row["step"] for row in writers.read_metrics(tmp_path)] == [1, 2]
    with writers.MetricsWriter(tmp_path, last_step=1) as writer:
        writer.write(2, {"loss": 2.5})
    assert writers.read_metrics(tmp_path) == [{"step": 1, "loss": 3}, {"step": 2, "loss": 2.5}]


def test_ratios_are_divided_at_the_end():
    metrics = {"mean": Ratio(np.float32(3), np.float32(4)), "none": Ratio(np.float32(0), np.float32(0)), "plain": 2}
    assert writers.resolve(metrics) == {"mean": 0.75, "none": 0, "plain": 2}


def test_a_full_disk_is_explained(tmp_path):
    with writers.MetricsWriter(tmp_path) as writer, open("/dev/full", "wb") as full:
        os.dup2(full.fileno(), writer._rows._file.fileno())
        with pytest.raises(OSError, match=r"could not write step 1 to .*metrics.jsonl.*No space left.*newest check"):
            writer.write(1, {"loss": 0.5})
