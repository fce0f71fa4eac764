"""Documents for paths: every path is asked for, names above stand in the request, and what is refused is counted."""

import pytest

from jaxalign.taxonomy import Taxonomy, render_path_document, write_path_documents

#   pets        tools
#   dogs cats   (a leaf and a root)
TAXONOMY = Taxonomy(("pets", "dogs", "cats", "tools"), ((), (0,), (0,), ()))


def generate(prompts, *, n, temperature, max_tokens, seed):
    assert (temperature, max_tokens, seed) == (1.0, 256, 7)
    return [
        [f"Here is one:\nA text {k} of {prompt}" for k in range(n - 1)] + ["Sorry, I can't write this."]
        for prompt in prompts
    ]


def test_each_path_has_documents_and_refusals_are_counted():
    found = write_path_documents(generate, TAXONOMY, count=3, seed=7)
    assert [document.path for document in found.documents] == [(0, 1)] * 2 + [(0, 2)] * 2 + [(3,)] * 2
    assert found.missing == {(0, 1): ("refused",), (0, 2): ("refused",), (3,): ("refused",)}
    asked = 'Write one text that belongs to the class "dogs", which is below pets. Answer with the text alone.'
    assert found.documents[1].text == f"A text 1 of {asked}"  # without the chat's words before it


def test_requests():
    said = render_path_document(TAXONOMY, (3,), kind="product review")
    assert said == 'Write one product review that belongs to the class "tools". Answer with the text alone.'
    with pytest.raises(ValueError, match="path: expected one class or more"):
        render_path_document(TAXONOMY, ())
    with pytest.raises(ValueError, match="count"):
        write_path_documents(generate, TAXONOMY, count=0)
    assert write_path_documents(generate, TAXONOMY, paths=[]).documents == ()
