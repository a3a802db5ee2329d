"""compare_backward: hand-written backward passes with one mistake in each, and what is said of them."""

import functools
import sys

import numpy as np
import pytest

import minigrad as mg
from minigrad.check.compare import compare_backward

rng = np.random.default_rng(5)


def texts(report):
    return {entry.name: (entry.status, entry.text) for entry in report.entries}


def statuses(report):
    return {entry.name: entry.status for entry in report.entries}


# --- a layer with its intermediates ---------------------------------------------------------------------------------

X, W1, B1, W2 = (rng.standard_normal(shape) for shape in ((6, 6), (6, 6), (6,), (6, 3)))


def forward(x, W1, b1, W2):
    pre = x @ W1 + b1
    hidden = np.maximum(0, pre)
    out = hidden @ W2
    return out


def right_backward(dout, x, W1, b1, W2):
    pre = x @ W1 + b1
    hidden = np.maximum(0, pre)
    dhidden = dout @ W2.T
    dpre = dhidden * (pre > 0)
    return {
        "dW2": hidden.T @ dout,
        "dhidden": dhidden,
        "dpre": dpre,
        "db1": dpre.sum(axis=0),
        "dW1": x.T @ dpre,
        "dx": dpre @ W1.T,
    }


def spoiled(**changes):
    """Return the right backward pass, but for some gradients: functions of the right ones and the arguments."""

    def my_backward(dout, x, W1, b1, W2):
        grads = right_backward(dout, x, W1, b1, W2)
        return {**grads, **{name: change(grads, x) for name, change in changes.items()}}

    return my_backward


def test_a_right_one():
    report = compare_backward(forward, right_backward, X, W1, B1, W2)
    assert report and report.ok and report.first is None
    assert [entry.name for entry in report.entries] == ["dhidden", "dW2", "dpre", "db1", "dW1", "dx"]
    assert set(statuses(report).values()) == {"right"}
    assert str(report).startswith("right_backward against forward: 6 of 6 gradients are right\n")
    assert repr(report) == str(report)
    entry = report.entries[0]
    assert "test_compare.py:" in entry.line and entry.line.endswith("hidden = np.maximum(0, pre)")
    np.testing.assert_allclose(entry.found, entry.right)


@pytest.mark.parametrize(
    "changes, name, text",
    [
        (dict(db1=lambda d, x: d["dpre"].sum(1)), "db1", "it is summed over axis (1,), and the right one over axis (0"),
        (dict(db1=lambda d, x: d["dpre"]), "db1", "its shape is (6, 6), and the argument's is (6,): it is not summed"),
        (dict(db1=lambda d, x: d["db1"][None]), "db1", "its shape is (1, 6), and the argument's is (6,): the numbers"),
        (dict(dW2=lambda d, x: d["dW2"].T), "dW2", "its shape is (3, 6), and the argument's is (6, 3): it is the"),
        (dict(dW1=lambda d, x: d["dW1"].T), "dW1", "it is the right one with its axes in the order (1, 0): transposed"),
        (dict(dW1=lambda d, x: x @ d["dpre"]), "dW1", "it is x @ g, and the right one is x.T @ g"),
        (dict(dW1=lambda d, x: d["dW1"] / 6), "dW1", "it is 1/6 of the right one, and 6 is the size of an axis"),
        (dict(dx=lambda d, x: -d["dx"]), "dx", "it has the wrong sign"),
        (dict(dx=lambda d, x: 0.5 * d["dx"]), "dx", "it is 0.5 times the right one"),
        (dict(dx=lambda d, x: 0 * d["dx"]), "dx", "it is zero"),
        (dict(dx=lambda d, x: np.nan * d["dx"]), "dx", "it holds NaN or infinity"),
        (dict(dx=lambda d, x: d["dx"][:, ::-1]), "dx", "it is the right one reversed along axis (1,)"),
        (dict(dx=lambda d, x: d["dx"] * x), "dx", "it is multiplied by x once too often"),
        (dict(dx=lambda d, x: d["dx"] / x), "dx", "it is not multiplied by x"),
        (dict(dx=lambda d, x: d["dx"] + np.eye(6)[2]), "dx", "6 of 36 elements differ; the most at ["),
        (dict(dx=lambda d, x: d["dx"] + np.eye(6)[[2]].T), "dx", "6 of 36 elements differ, all with the first index 2"),
        (dict(dx=lambda d, x: np.array(["a"] * 36).reshape(6, 6)), "dx", "it is an array of <U1, and must hold"),
    ],
)  # fmt: skip
def test_one_mistake_in_a_final_gradient(changes, name, text):
    report = compare_backward(forward, spoiled(**changes), X, W1, B1, W2)
    assert not report and report.first.name == name
    assert report.first.text.startswith(text)
    assert [entry.name for entry in report.entries if entry.status != "right"] == [name]
    assert "WRONG: " + report.first.text in str(report)


def test_what_follows_from_a_mistake_is_no_other_mistake():
    def my_backward(dout, x, W1, b1, W2):
        pre = x @ W1 + b1
        hidden = np.maximum(0, pre)
        dhidden = dout @ W2.T
        dpre = dhidden  # the mask is left out
        return {
            "dhidden": dhidden,
            "dpre": dpre,
            "dW2": hidden.T @ dout,
            "db1": dpre.sum(axis=1),  # and this is another mistake
            "dW1": x.T @ dpre,
            "dx": dpre @ W1.T,
        }

    report = compare_backward(forward, my_backward, X, W1, B1, W2)
    assert statuses(report) == {
        "dhidden": "right", "dW2": "right", "dpre": "wrong", "db1": "wrong", "dW1": "follows", "dx": "follows"
    }  # fmt: skip
    assert report.first.name == "dpre"
    assert report.first.text == "it is what arrives at maximum, unchanged: the derivative of maximum itself is missing"
    assert texts(report)["db1"][1] == "it is summed over axis (1,), and the right one over axis (0,)"
    assert texts(report)["dx"][1] == "it differs, as it must after dpre"
    assert "FIRST WRONG" in str(report)


def test_a_mask_that_is_left_out_behind_a_step_that_is_not_told():
    report = compare_backward(lambda x: np.maximum(0, 3.0 * x), lambda g, x: 3.0 * g, X)
    assert report.first.text.startswith("it is right where the right one is not zero, and not zero in ")
    assert report.first.text.endswith("is a mask left out (of relu, a maximum, dropout)?")
    report = compare_backward(lambda x: 3.0 * x, lambda g, x: 3.0 * g * (x > 0), X)
    assert report.first.text.endswith("is a mask too narrow, or a part never written?")


def test_names_of_gradients():
    def my_backward(dout, x, W1, b1, W2):
        d = right_backward(dout, x, W1, b1, W2)
        return {
            "d_hidden": d["dhidden"],
            "grad_pre": d["dpre"],
            "W1": d["dW1"],
            "dout": dout,
            "dtemp": 1.0,
            "dhiden": 0,
        }

    report = compare_backward(forward, my_backward, X, W1, B1, W2)
    assert report.ok
    assert statuses(report) == {
        "dout": "right", "d_hidden": "right", "grad_pre": "right", "W1": "right",
        "dtemp": "not compared", "dhiden": "not compared",
    }  # fmt: skip
    assert texts(report)["dhiden"][1] == "forward has no variable 'hiden'; did you mean \"hidden\"?"


# --- the course's style ---------------------------------------------------------------------------------------------


def batchnorm_forward(x, gamma, beta, bn_param):
    eps = bn_param.get("eps", 1e-5)
    mu = x.mean(axis=0)
    xc = x - mu
    var = np.mean(xc**2, axis=0)
    std = np.sqrt(var + eps)
    xhat = xc / std
    out = gamma * xhat + beta
    bn_param["running_mean"] = 0.9 * bn_param["running_mean"] + 0.1 * mu
    return out, (xhat, gamma, std, xc)


def batchnorm_backward(dout, cache, mistake=""):
    xhat, gamma, std, xc = cache
    N = len(xhat)
    dxhat = dout * gamma
    dxc = dxhat / std
    dvar = -0.5 * (dxhat * xc).sum(axis=0) / std**3
    if mistake == "half":
        dvar *= 2
    if mistake == "sign":
        dvar *= -1
    if mistake not in ("variance", "both"):
        dxc = dxc + 2 * xc * dvar / (1 if mistake == "1/N" else N)
    dx = dxc - dxc.mean(axis=0) if mistake not in ("mean", "both") else dxc
    if mistake == "std":
        dx = dx * std
    dgamma, dbeta = (dout * xhat).sum(axis=0), dout.sum(axis=0)
    return (dx, dbeta, dgamma) if mistake == "swapped" else (dx, dgamma, dbeta)


N_D = rng.standard_normal((8, 4)), rng.standard_normal(4), rng.standard_normal(4)


@pytest.mark.parametrize(
    "mistake, parts",
    [
        ("half", ["the term that comes to xc through power", "is 2 times what it should be"]),
        ("1/N", ["the term that comes to xc through power", "is 8 times what it should be", "is 1/8 missing?"]),
        ("sign", ["the term that comes to xc through power", "has the wrong sign"]),
        ("variance", ["it lacks the term that comes to xc through power", "var = np.mean(xc**2, axis=0)"]),
        ("mean", ["it lacks the term that comes to x through mean", "mu = x.mean(axis=0)"]),
        ("both", ["it lacks the term that comes to xc through power", "and the term that comes to x through mean"]),
        ("std", ["it is multiplied by std once too often, or not divided by it"]),
    ],
)
def test_batchnorm_from_final_gradients_alone(mistake, parts):
    settings = {"eps": 1e-5, "running_mean": np.zeros(4)}
    assert compare_backward(batchnorm_forward, batchnorm_backward, *N_D, settings)
    report = compare_backward(batchnorm_forward, functools.partial(batchnorm_backward, mistake=mistake), *N_D, settings)
    assert statuses(report) == {"dx": "wrong", "dgamma": "right", "dbeta": "right"}
    assert all(part in report.first.text for part in parts)
    np.testing.assert_array_equal(settings["running_mean"], np.zeros(4))  # the caller's settings are as they were


def test_swapped():
    report = compare_backward(batchnorm_forward, functools.partial(batchnorm_backward, mistake="swapped"), *N_D,
                              {"running_mean": np.zeros(4)})  # fmt: skip
    assert texts(report)["dgamma"] == (
        "wrong",
        "it is the gradient that belongs to dbeta: are they returned in another order?",
    )
    assert statuses(report)["dx"] == "right"


def test_several_results():
    def step(x, h, c, W):
        a = x @ W + h
        next_c = np.tanh(a) * c
        next_h = np.tanh(next_c)
        return next_h, next_c, (x, W, a, c, next_h)

    def step_backward(dnext_h, dnext_c, cache):
        x, W, a, c, next_h = cache
        dc_total = dnext_c + dnext_h * (1 - next_h**2)
        da = dc_total * c * (1 - np.tanh(a) ** 2)
        return da @ W.T, da, dc_total * np.tanh(a), x.T @ da

    args = [rng.standard_normal(shape) for shape in ((5, 3), (5, 4), (5, 4), (3, 4))]
    assert compare_backward(step, step_backward, *args)

    def without_c(dnext_h, dnext_c, cache):
        return step_backward(dnext_h, 0 * dnext_c, cache)

    assert not compare_backward(step, without_c, *args)
    dout = np.ones((5, 4)), np.zeros((5, 4))
    assert compare_backward(step, without_c, *args, dout=dout)
    with pytest.raises(mg.ShapeError, match="dout= holds 1 cotangents, and there are 2 results"):
        compare_backward(step, without_c, *args, dout=dout[:1])
    two = lambda x, y: (x * y, x + y)  # noqa: E731
    assert compare_backward(two, lambda dp, ds, x, y: (dp * y + ds, dp * x + ds), *N_D[1:])


# --- losses ---------------------------------------------------------------------------------------------------------


def loss(W, X, y, reg):
    scores = X @ W
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(y)), y]).mean() + reg * np.sum(W * W)


def loss_backward(W, X, y, reg, mistake=""):
    shifted = X @ W
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    if mistake != "1/N":
        p /= len(y)
    dW = X.T @ p
    if mistake != "reg":
        dW = dW + 2 * reg * W
    return dW, p @ W.T


LOSS = W2, X, np.array([0, 1, 2, 0, 1, 2]), 0.3


def test_a_loss():
    assert compare_backward(loss, loss_backward, *LOSS)  # without dout
    assert compare_backward(loss, lambda dout, *args: tuple(dout * g for g in loss_backward(*args)), *LOSS, dout=3.0)
    report = compare_backward(loss, functools.partial(loss_backward, mistake="1/N"), *LOSS)
    assert texts(report)["dX"][1].startswith("it is 6 times the right one, and 6 is the size of an axis")
    assert "is 1/6 missing?" in texts(report)["dW"][1]
    report = compare_backward(loss, functools.partial(loss_backward, mistake="reg"), *LOSS)
    assert statuses(report) == {"dW": "wrong", "dX": "right"}
    assert report.first.text.startswith("it lacks a term 0.6 times the value: is a regularisation left out")


# --- factors by name ------------------------------------------------------------------------------------------------


def test_factors_are_named():
    def dropout_forward(x, dropout_param):
        p = dropout_param["p"]
        mask = (np.random.default_rng(0).random(x.shape) < p) / p
        return x * mask, mask > 0

    report = compare_backward(dropout_forward, lambda dout, kept: dout * kept, X, {"p": 0.7})
    assert report.first.text == "it is 0.7 times the right one (a factor p too many)"
    scaled = compare_backward(lambda x, scale: x * scale, lambda g, x, scale: g, X, 0.5)
    assert scaled.first.text.startswith("it is what arrives at multiply, unchanged")
    product = compare_backward(lambda a, b: np.exp(a) * b, lambda g, a, b: (g * np.exp(a), g * np.exp(a)), X, W1)
    assert product.first.text == "it is not multiplied by b, or divided by it once too often"
    report = compare_backward(np.tanh, lambda g, x: g / np.cosh(x), X)
    assert report.first.text.startswith("36 of 36 elements differ")


def test_rows_that_were_overwritten():
    def my_backward(dout, x):
        dx = np.zeros_like(x)
        dx[[0, 2, 2]] = dout  # and not np.add.at
        return dx

    report = compare_backward(lambda x: x[[0, 2, 2]], my_backward, X)
    assert "6 of 36 elements differ, all with the first index 2" in report.first.text


# --- containers, styles, and what does not fit ----------------------------------------------------------------------


def test_parameters_in_a_dict():
    def net(params, x):
        hidden = np.tanh(x @ params["W1"])
        return hidden @ params["W2"]

    def grads(dout, params, x):
        hidden = np.tanh(x @ params["W1"])
        dhidden = dout @ params["W2"].T
        return {"W1": x.T @ (dhidden * (1 - hidden**2)), "W2": hidden.T @ dout, "hidden": dhidden}

    params = {"W1": W1, "W2": W2}
    report = compare_backward(net, grads, params, X)
    assert report and set(statuses(report)) == {"W1", "W2", "hidden"}

    def in_order(dout, params, x):
        found = grads(dout, params, x)
        found.pop("hidden")
        return found, None

    report = compare_backward(net, in_order, params, X)
    assert report and statuses(report) == {"dparams['W2']": "right", "dparams['W1']": "right", "dx": "not compared"}
    assert texts(report)["dx"][1] == "the backward pass gives none"


def test_lists_of_intermediates():
    def rnn(x, W):
        h, hs = np.zeros((2, 3)), []
        for step in range(3):
            h = np.tanh(x[:, step] + h @ W)
            hs.append(h)
        return np.stack(hs, axis=1)

    def my_backward(dout, x, W):
        h, hs = np.zeros((2, 3)), []
        for step in range(3):
            h = np.tanh(x[:, step] + h @ W)
            hs.append(h)
        dW, dx, dhs, carried = np.zeros_like(W), np.zeros_like(x), [None] * 3, 0
        for step in (2, 1, 0):
            dhs[step] = dout[:, step] + carried
            da = dhs[step] * (1 - hs[step] ** 2)
            dx[:, step] = da
            dW += (hs[step - 1] if step else np.zeros((2, 3))).T @ da
            carried = da @ W.T if step != 2 else 0  # the first step back is forgotten
        return {"dhs": dhs, "dx": dx, "dW": dW}

    report = compare_backward(rnn, my_backward, rng.standard_normal((2, 3, 3)), rng.standard_normal((3, 3)))
    found = statuses(report)
    assert found["dhs[2]"] == "right" and found["dhs[1]"] == "wrong" and found["dhs[0]"] == "follows"
    assert found["dx"] == found["dW"] == "follows"


def test_objects_that_can_be_called():
    class Layer:
        def __init__(self, scale):
            self.scale = scale

        def forward(self, x):
            scaled = x * self.scale
            return np.sum(scaled * scaled)

        def backward(self, dout, x):
            return {"dscaled": 2 * x * self.scale * dout, "dx": 2 * x * self.scale * dout}

        __call__ = forward

    layer = Layer(3.0)
    for f in (layer.forward, layer, functools.partial(layer.forward)):
        report = compare_backward(f, layer.backward, X)
        assert statuses(report) == {"dscaled": "right", "dx": "wrong"}
        assert report.first.text.endswith("the derivative of multiply itself is missing")


def test_writing_into_arguments_is_noted():
    def my_backward(dout, x):
        dout[x <= 0] = 0
        return dout

    x, dout = X.copy(), np.ones_like(X)
    report = compare_backward(lambda x: np.maximum(x, 0), my_backward, x, dout=dout)
    assert report and report.notes == ["my_backward changed its argument dout in place"]
    assert "note: " in str(report)
    np.testing.assert_array_equal(dout, np.ones_like(X))


def test_raises():
    with pytest.raises(mg.GradientError, match="FIRST WRONG"):
        compare_backward(forward, spoiled(dx=lambda d, x: 2 * d["dx"]), X, W1, B1, W2, raises=True)
    assert compare_backward(forward, right_backward, X, W1, B1, W2, raises=True)


@pytest.mark.parametrize(
    "f, back, args, error, text",
    [
        (np.tanh, lambda g, x: g, (3,), mg.OptionError, "none of the arguments of tanh is an array of floats"),
        (lambda x: np.tanh(x), lambda g: g, (X,), mg.OptionError, "does not fit that; write it as my_backward(dout, x"),
        (np.tanh, lambda g, x: None, (X,), mg.DTypeError, "returned None"),
        (lambda x: None, lambda g, x: g, (X,), mg.DTypeError, "returned None"),
        (lambda x: np.ones(3), lambda g, x: g, (X,), mg.DTypeError, "does not depend on x"),
        (np.multiply, lambda g, x, y: (g,), (X, X), mg.OptionError, "returned 1 gradients, and there are 2 arguments"),
        (np.tanh, lambda g, x: {"dq": g}, (X,), mg.OptionError, "none of the names dq is a variable of tanh"),
    ],
)  # fmt: skip
def test_what_does_not_fit(f, back, args, error, text):
    with pytest.raises(error) as caught:
        compare_backward(f, back, *args)
    assert text in str(caught.value)


def test_float32_and_tolerance():
    x = X.astype(np.float32)
    assert compare_backward(np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2), x)
    nearly = lambda g, x: g * (1 - np.tanh(x) ** 2) * 1.001  # noqa: E731
    assert not compare_backward(np.tanh, nearly, x)
    assert compare_backward(np.tanh, nearly, x, rtol=0.01)


def test_gradients_that_cancel_to_zero():
    def f(x, b):
        h = x + b
        return np.sum((h - h.mean(axis=0)) ** 3)

    def my_backward(dout, x, b):
        c = x + b - (x + b).mean(axis=0)
        dx = 3 * dout * (c**2 - (c**2).mean(axis=0))
        return dx, np.zeros_like(b)  # what the sum comes to, but for rounding

    assert compare_backward(f, my_backward, *N_D[:2])


def test_the_profile_hook_is_put_back():
    def mine(frame, event, argument):
        return None

    sys.setprofile(mine)
    try:
        compare_backward(np.tanh, lambda g, x: g, X)
        assert sys.getprofile() is mine
        with pytest.raises(ZeroDivisionError):
            compare_backward(lambda x: 1 / 0, lambda g, x: g, X)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)


def test_it_is_the_same_every_time():
    results = [str(compare_backward(forward, spoiled(dx=lambda d, x: d["dx"] ** 2), X, W1, B1, W2)) for _ in range(2)]
    assert results[0] == results[1]
    assert results[0] != str(compare_backward(forward, spoiled(dx=lambda d, x: d["dx"] ** 2), X, W1, B1, W2, seed=1))


def test_a_forward_pass_that_fills_an_array_is_told_what_to_do():
    def forward(x):
        out = np.zeros(2)
        out[0] = np.sum(x * x)
        return out

    with pytest.raises(mg.NoGradientRule, match=r"an assignment into an array.*use np.stack"):
        mg.compare_backward(forward, lambda dout, x: 2 * dout[0] * x, np.ones(3))
    with pytest.raises(mg.NoGradientRule, match=r"an assignment into an array.*use np.stack"):
        mg.cs231n.layer(forward)[0](np.ones(3))
