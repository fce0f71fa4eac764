import openai
import pytest

from jaxalign.io.serve.simulated.app import serving
from jaxalign.io.serve.simulated.models import SimulatedModel


def shout(messages, body):
    return messages[-1]["content"].upper()


MODELS = [
    SimulatedModel("echo", answer=shout),
    SimulatedModel("tools", tools=True),
    SimulatedModel("made"),
    SimulatedModel("broken", faults="status=503"),
    SimulatedModel("slow", latency=60),
    SimulatedModel("embedding", width=16),
]


@pytest.fixture(scope="module")
def simulated():
    with serving(MODELS) as simulated:
        yield simulated


@pytest.fixture(autouse=True)
def fresh(simulated):
    simulated.counts.clear()
    simulated.faults.clear()


@pytest.fixture(scope="module")
def client(simulated):
    """The official one, which here does not try again."""
    with openai.OpenAI(base_url=simulated.url, api_key="any", max_retries=0) as client:
        yield client
