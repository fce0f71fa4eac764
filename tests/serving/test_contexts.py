"""What the router sees."""

import jax.numpy as jnp
import numpy as np

from jaxalign import serving


def test_a_context_by_hand():
    queries = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    examples = jnp.array([[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], [[1.0, 0.0]] * 3])
    utilities = jnp.array([[0.6, 0.2, 0.9], [0.5, 0.5, 0.5]])
    where = jnp.array([[True, True, False], [False, False, False]])
    contexts = serving.router_contexts(queries, examples, utilities, where)
    assert contexts.shape == (2, serving.context_width(2))
    root = np.sqrt(2)
    np.testing.assert_allclose(contexts[0], [root, 0, 0.75 * root, 0.25 * root, 0.6, 0.4, 1.0, 2 / 3], rtol=1e-6)
    np.testing.assert_allclose(contexts[1], [0, root, 0, 0, 0, 0, 0, 0], rtol=1e-6)


def test_what_is_not_there_may_hold_anything():
    contexts = serving.router_contexts(
        jnp.ones((1, 2)), jnp.full((1, 1, 2), jnp.inf), jnp.full((1, 1), jnp.inf), jnp.zeros((1, 1), bool)
    )
    np.testing.assert_allclose(contexts, [[np.sqrt(2), np.sqrt(2), 0, 0, 0, 0, 0, 0]], rtol=1e-6)
