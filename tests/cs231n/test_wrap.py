"""`layer`: a pair of forward and backward functions from any forward function."""

import inspect

import numpy as np
import pytest

import minigrad as mg
from minigrad.cs231n import affine_backward, affine_forward, layer, relu_forward, word_embedding_forward
from minigrad.cs231n.gradient_check import eval_numerical_gradient_array

rng = np.random.default_rng(43)
X, W, B = rng.standard_normal((4, 3)), rng.standard_normal((3, 5)), rng.standard_normal(5)
DOUT = rng.standard_normal((4, 5))


def squash(x, w, b):
    """Squash."""
    return np.tanh(x @ w + b)


def test_forward_and_backward():
    forward, backward = layer(squash)
    out, cache = forward(X, W, B)
    np.testing.assert_array_equal(out, squash(X, W, B))
    gradients = backward(DOUT, cache)
    assert type(gradients) is tuple and [g.shape for g in gradients] == [(4, 3), (3, 5), (5,)]
    for x, dx in zip((X, W, B), gradients):
        np.testing.assert_allclose(dx, eval_numerical_gradient_array(lambda _: squash(X, W, B), x, DOUT), atol=1e-9)


def test_one_argument_gives_one_array():
    forward, backward = layer(np.sin)
    out, cache = forward(X)
    np.testing.assert_array_equal(backward(np.ones_like(X), cache), np.cos(X))


def test_a_tuple_of_one_number_gives_a_tuple():
    forward, backward = layer(squash, argnums=(1,))
    (dw,) = backward(DOUT, forward(X, W, B)[1])
    assert dw.shape == W.shape


def test_chosen_arguments_in_the_order_named():
    forward, backward = layer(squash, argnums=[2, 0])
    db, dx = backward(DOUT, forward(X, W, B)[1])
    assert db.shape == B.shape and dx.shape == X.shape


@pytest.mark.parametrize("argnums", [3, (0, -4)])
def test_an_argument_that_is_not_there(argnums):
    with pytest.raises(mg.OptionError, match="squash_forward was called with 3 positional arguments"):
        layer(squash, argnums)[0](X, W, B)


def test_what_gets_no_gradient():
    """Numbers, None, dicts, strings, lists and arrays that are not of floats are passed on as they are."""
    seen = []

    def f(table, numbers, x, mask, scale, param, nothing, *, keep):
        seen.append((numbers, mask, scale, param, nothing, keep))
        return scale * table[numbers] * np.where(mask, x, 1.0)

    numbers, mask, param, keep = np.array([1, 0]), np.array([True, False]), {"running": np.ones(3)}, np.ones(2)
    forward, backward = layer(f)
    out, cache = forward(np.array([2.0, 3.0, 4.0]), numbers, np.array([5.0, 6.0]), mask, 10.0, param, None, keep=keep)
    np.testing.assert_array_equal(out, [150.0, 20.0])
    dtable, dx = backward(np.ones(2), cache)
    np.testing.assert_array_equal(dtable, [10.0, 50.0, 0.0])
    np.testing.assert_array_equal(dx, [30.0, 0.0])
    assert all(a is b for a, b in zip(seen[0], (numbers, mask, 10.0, param, None, keep)))


def test_arguments_by_keyword_come_in_the_order_of_the_signature():
    forward, backward = layer(squash)
    out, cache = forward(X, b=B, w=W)
    np.testing.assert_array_equal(out, squash(X, W, B))
    assert [g.shape for g in backward(DOUT, cache)] == [X.shape, W.shape, B.shape]
    assert affine_forward(w=W, x=X, b=B)[0].shape == (4, 5)


def test_arguments_that_do_not_fit_are_named_by_the_function():
    with pytest.raises(TypeError, match=r"squash\(\) got an unexpected keyword argument 'bias'"):
        layer(squash)[0](X, W, bias=B)


def test_functions_that_tell_no_signature():
    forward, backward = layer(np.arctan2)
    out, cache = forward(np.ones(2), np.ones(2))
    dy, dx = backward(np.ones(2), cache)
    np.testing.assert_allclose((dy, dx), [[0.5, 0.5], [-0.5, -0.5]])


@pytest.mark.parametrize("kind", [tuple, list])
def test_several_outputs(kind):
    forward, backward = layer(lambda x, y: kind((x * y, x + y)))
    x, y = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    product, total, cache = forward(x, y)
    np.testing.assert_array_equal(product, x * y)
    np.testing.assert_array_equal(total, x + y)
    one, two = np.array([1.0, 10.0]), np.array([100.0, 1000.0])
    for douts in [(one, two), ((one, two),), ([one, two],)]:
        dx, dy = backward(*douts, cache)
        np.testing.assert_array_equal(dx, one * y + two)
        np.testing.assert_array_equal(dy, one * x + two)
    np.testing.assert_array_equal(backward(one, None, cache)[0], one * y)
    np.testing.assert_array_equal(backward(None, two, cache)[0], two)


def test_a_tuple_of_one_output():
    forward, backward = layer(lambda x: (2 * x,))
    out, cache = forward(np.ones(2))
    np.testing.assert_array_equal(backward(np.ones(2), cache), [2.0, 2.0])


def test_outputs_that_follow_no_argument():
    forward, backward = layer(lambda x: (x * x, np.argmax(x), np.ones(2)))
    square, best, ones, cache = forward(np.array([1.0, 3.0]))
    assert best == 1
    np.testing.assert_array_equal(backward(np.ones(2), None, np.ones(2), cache), [2.0, 6.0])


def test_a_number_as_result():
    forward, backward = layer(lambda x: np.sum(x**2))
    loss, cache = forward(X)
    np.testing.assert_array_equal(backward(1.0, cache), 2 * X)
    np.testing.assert_array_equal(backward(1, cache), 2 * X)


def test_backward_as_often_as_wanted():
    forward, backward = layer(squash)
    _, cache = forward(X, W, B)
    first = [g.copy() for g in backward(DOUT, cache)]
    for gradient in backward(2 * DOUT, cache):
        gradient[...] = np.nan
    for one, other in zip(first, backward(DOUT, cache)):
        np.testing.assert_array_equal(one, other)


def test_caches_of_several_calls_do_not_mix():
    forward, backward = layer(squash)
    _, first = forward(X, W, B)
    alone = backward(DOUT, first)
    _, second = forward(2 * X, -W, B)
    assert not np.allclose(backward(DOUT, second)[0], alone[0])
    for one, other in zip(alone, backward(DOUT, first)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x,
        lambda x: np.tanh(x),
        lambda x: np.exp(x).T,
        lambda x: np.reshape(x, -1),
        lambda x: np.broadcast_to(x, (2, 4, 3)),
        lambda x: (np.tanh(x), np.tanh(x)),
    ],
)
def test_results_are_the_callers_own(f):
    """To write into them changes neither the arguments nor what the cache holds."""
    forward, backward = layer(f)
    x = X.copy()
    *outs, cache = forward(x)
    douts = [np.ones_like(out) for out in outs]
    before = backward(*douts, cache).copy()
    for out in outs:
        out[...] = np.nan
    gradient = backward(*douts, cache)
    np.testing.assert_array_equal(gradient, before)
    gradient[...] = np.nan
    assert all((dout == 1).all() for dout in douts)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(backward(*douts, cache), before)


def test_float32_is_kept():
    out, cache = affine_forward(*(a.astype(np.float32) for a in (X, W, B)))
    assert out.dtype == np.float32
    assert [g.dtype for g in affine_backward(DOUT, cache)] == [np.float32] * 3


def test_integers_that_get_a_gradient_become_floats():
    out, cache = affine_forward(np.arange(6, dtype=np.uint8).reshape(2, 3), W, [1, 2, 3, 4, 5])
    dx, dw, db = affine_backward(np.ones((2, 5), int), cache)
    assert out.dtype == dx.dtype == db.dtype == float and dx.shape == (2, 3)


def test_it_may_be_differentiated_itself():
    def loss(x):
        out, cache = affine_forward(x, W, B)
        dx, _, _ = affine_backward(2 * out, cache)  # of the sum of squares
        return np.sum(dx * dx)

    wanted = mg.grad(lambda x: np.sum(mg.grad(lambda x: np.sum((x @ W + B) ** 2))(x) ** 2))(X)
    np.testing.assert_allclose(mg.grad(loss)(X), wanted)


def test_names_and_texts():
    forward, backward = layer(squash)
    assert forward.__name__ == "squash_forward" and backward.__name__ == "squash_backward"
    assert forward.__doc__ == "Squash." and list(inspect.signature(forward).parameters) == ["x", "w", "b"]
    assert "``dx, dw, db``" in affine_backward.__doc__
    assert layer(lambda x: x)[0].__name__ == "layer_forward"
    assert repr(forward(X, W, B)[1]) == "<cache of squash_forward, which returned (4, 5)>"


def test_ops_can_be_wrapped():
    forward, backward = layer(mg.affine)
    assert forward.__name__ == "affine_forward"
    assert len(backward(DOUT, forward(X, W, B)[1])) == 3


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (5, 4), (), (1, 5), (4, 5, 1)], ids=str)
def test_dout_of_another_shape(shape):
    with pytest.raises(mg.ShapeError, match=r"affine_backward: dout has shape .* affine_forward has shape \(4, 5\)"):
        affine_backward(np.ones(shape), affine_forward(X, W, B)[1])


def test_no_dout():
    _, cache = affine_forward(X, W, B)
    with pytest.raises(mg.DTypeError, match=r"affine_backward: None came in place of dout.*\(4, 5\)"):
        affine_backward(None, cache)
    with pytest.raises(mg.ShapeError, match=r"0 gradients came.*call affine_backward\(dout, cache\)"):
        affine_backward(cache)


def test_a_wrong_number_of_douts():
    forward, backward = layer(lambda x: (x, 2 * x))
    *_, cache = forward(X)
    with pytest.raises(mg.ShapeError, match=r"returned 2 arrays; call .*\(dout1, dout2, cache\) \(None for zeros\)"):
        backward(X, cache)
    with pytest.raises(mg.ShapeError, match="dout2 has shape"):
        backward(X, X[0], cache)
    with pytest.raises(mg.DTypeError, match="None came"):
        backward(None, None, cache)


def test_no_cache():
    with pytest.raises(mg.DTypeError, match="affine_backward: tuple came in place of the cache that affine_forward"):
        affine_backward(DOUT, (X, W, B))
    with pytest.raises(mg.DTypeError, match="NoneType came"):
        affine_backward()
    with pytest.raises(mg.DTypeError, match="the cache comes last"):
        affine_backward(affine_forward(X, W, B)[1], DOUT)


def test_the_cache_of_another_layer():
    with pytest.raises(mg.OptionError, match="the cache is that of relu_forward; give it to relu_backward"):
        affine_backward(DOUT, relu_forward(X)[1])


def test_a_cache_cannot_be_unpacked():
    with pytest.raises(
        mg.DTypeError, match="cache of affine_forward .* cannot be unpacked; give it to affine_backward"
    ):
        x, w, b = affine_forward(X, W, B)[1]


def test_no_argument_with_a_gradient():
    with pytest.raises(mg.DTypeError, match=r"squash_forward: none of the arguments \(int64, float, int64\)"):
        layer(squash)[0](np.arange(3), 2.0, np.arange(3))


@pytest.mark.parametrize("wrong", ["text", None, {"w": 1.0}])
def test_an_argument_that_is_no_array_of_numbers(wrong):
    with pytest.raises(mg.DTypeError, match="affine_forward: argument 1 is .*, and an array of numbers was expected"):
        affine_forward(X, wrong, B)


@pytest.mark.parametrize("result", [None, "text", {"out": X}, (X, None)], ids=repr)
def test_a_function_that_returns_no_array(result):
    with pytest.raises(mg.DTypeError, match="layer returned .*a layer returns an array, or a tuple of arrays"):
        layer(lambda x: result)[0](X)


def test_errors_name_the_layer():
    with pytest.raises(mg.ShapeError, match="affine in affine_forward: x .*did you mean w.T"):
        affine_forward(X, W.T, B)
    with pytest.raises(mg.ShapeError, match="embedding in word_embedding_forward"):
        word_embedding_forward(np.array([[7]]), W)
