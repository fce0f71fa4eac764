import openai
import pytest

from jaxalign.io.serve.engine.app import opened
from jaxalign.io.serve.upstream import running
from tests.io.serve.engine import tiny_chat


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A directory, and the model, its parameters and its tokenizer."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    return directory, *tiny_chat.save(directory)


@pytest.fixture(scope="module")
def app(saved):
    with opened(str(saved[0]), num_slots=4, prompt_tokens=64, new_tokens=24, stride=3) as app:
        yield app


@pytest.fixture(scope="module")
def client(app):
    with running.in_thread(app) as url, openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client
