"""Recurrent networks as a user calls them: published values, PyTorch's, derivatives, sequences that go on, messages."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import DTypeError, ShapeError
from minigrad.ops.recurrent import gru, gru_step, lstm, lstm_cell, lstm_sequence, lstm_states, lstm_step, rnn, rnn_step
from tests.gradients import agrees, as_tuple, check_derivatives, gradients_of

rng = np.random.default_rng(41)
N, T, D, H = 2, 3, 4, 5
CELLS = {"rnn": (rnn, rnn_step, 1), "gru": (gru, gru_step, 3), "lstm": (lstm, lstm_step, 4)}
every_cell = pytest.mark.parametrize("cell", CELLS)


def normal(*shape):
    return rng.standard_normal(shape)


def arguments(cell, n=N, t=T, d=D, width=H):
    """Return x, h0, Wx, Wh and b; those of gru have bh too, those of lstm c0."""
    columns = CELLS[cell][2] * width
    args = [normal(n, t, d), normal(n, width), normal(d, columns), normal(width, columns), normal(columns)]
    return args + {"gru": [normal(columns)], "lstm": [normal(n, width)]}.get(cell, [])


def stepwise(cell):
    """Return the function that does the same as a sequence op with the op of one step."""

    def run(x, h, *weights):
        c, steps = np.zeros(h.shape, h.dtype), []
        if cell == "lstm" and len(weights) == 4:
            *weights, c = weights
        for t in range(x.shape[1]):
            if cell == "lstm":
                h, c = lstm_step(x[:, t], h, c, *weights)
            else:
                h = CELLS[cell][1](x[:, t], h, *weights)
            steps.append(h)
        return np.stack(steps, axis=1)

    return run


# --- values ----------------------------------------------------------------------------------------------------------


def line(start, stop, *shape):
    return np.linspace(start, stop, num=int(np.prod(shape))).reshape(shape)


def rel_error(x, y):
    return np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y)))


def test_the_values_that_the_course_publishes_for_rnns():
    n, d, h = 3, 10, 4
    args = line(-0.4, 0.7, n, d), line(-0.2, 0.5, n, h), line(-0.1, 0.9, d, h), line(-0.3, 0.7, h, h)
    wanted = [
        [-0.58172089, -0.50182032, -0.41232771, -0.31410098],
        [0.66854692, 0.79562378, 0.87755553, 0.92795967],
        [0.97934501, 0.99144213, 0.99646691, 0.99854353],
    ]
    assert rel_error(rnn_step(*args, line(-0.2, 0.4, h)), np.array(wanted)) < 1e-8
    n, t, d, h = 2, 3, 4, 5
    args = line(-0.1, 0.3, n, t, d), line(-0.3, 0.1, n, h), line(-0.2, 0.4, d, h), line(-0.4, 0.1, h, h)
    wanted = [
        [
            [-0.42070749, -0.27279261, -0.11074945, 0.05740409, 0.22236251],
            [-0.39525808, -0.22554661, -0.0409454, 0.14649412, 0.32397316],
            [-0.42305111, -0.24223728, -0.04287027, 0.15997045, 0.35014525],
        ],
        [
            [-0.55857474, -0.39065825, -0.19198182, 0.02378408, 0.23735671],
            [-0.27150199, -0.07088804, 0.13562939, 0.33099728, 0.50158768],
            [-0.51014825, -0.30524429, -0.06755202, 0.17806392, 0.40333043],
        ],
    ]
    assert rel_error(rnn(*args, line(-0.7, 0.1, h)), np.array(wanted)) < 1e-7


def test_the_values_that_the_course_publishes_for_lstms():
    n, d, h = 3, 4, 5
    states = line(-0.3, 0.7, n, h), line(-0.4, 0.9, n, h)
    weights = line(-2.1, 1.3, d, 4 * h), line(-0.7, 2.2, h, 4 * h), line(0.3, 0.7, 4 * h)
    wanted_h = [
        [0.24635157, 0.28610883, 0.32240467, 0.35525807, 0.38474904],
        [0.49223563, 0.55611431, 0.61507696, 0.66844003, 0.7159181],
        [0.56735664, 0.66310127, 0.74419266, 0.80889665, 0.858299],
    ]
    wanted_c = [
        [0.32986176, 0.39145139, 0.451556, 0.51014116, 0.56717407],
        [0.66382255, 0.76674007, 0.87195994, 0.97902709, 1.08751345],
        [0.74192008, 0.90592151, 1.07717006, 1.25120233, 1.42395676],
    ]
    next_h, next_c = lstm_step(line(-0.4, 1.2, n, d), *states, *weights)
    assert rel_error(next_h, np.array(wanted_h)) < 1e-8
    assert rel_error(next_c, np.array(wanted_c)) < 1e-8
    n, d, h, t = 2, 5, 4, 3
    args = line(-0.4, 0.6, n, t, d), line(-0.4, 0.8, n, h), line(-0.2, 0.9, d, 4 * h), line(-0.3, 0.6, h, 4 * h)
    wanted = [
        [
            [0.01764008, 0.01823233, 0.01882671, 0.0194232],
            [0.11287491, 0.12146228, 0.13018446, 0.13902939],
            [0.31358768, 0.33338627, 0.35304453, 0.37250975],
        ],
        [
            [0.45767879, 0.4761092, 0.4936887, 0.51041945],
            [0.6704845, 0.69350089, 0.71486014, 0.7346449],
            [0.81733511, 0.83677871, 0.85403753, 0.86935314],
        ],
    ]
    assert rel_error(lstm(*args, line(0.2, 0.7, 4 * h)), np.array(wanted)) < 1e-7


@every_cell
def test_a_sequence_is_its_steps(cell):
    args = arguments(cell)
    found, wanted = gradients_of(CELLS[cell][0], args), gradients_of(stepwise(cell), args)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12, atol=1e-12)
    for a, b in zip(found[1], wanted[1]):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@every_cell
def test_pytorch_agrees(cell):
    """Its weights are the transposes, its LSTM has the gates in the order i, f, g, o."""
    torch = pytest.importorskip("torch", reason="PyTorch is not there to compare with")
    net = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](D, H, batch_first=True).double()
    x, h0 = normal(N, T, D), normal(N, H)
    c0 = [normal(N, H)] if cell == "lstm" else []
    order = np.arange(CELLS[cell][2] * H)
    if cell == "lstm":
        order = order.reshape(4, H)[[0, 1, 3, 2]].ravel()
    Wx, Wh, bx, bh = (w.detach().numpy()[order].T for w in net.parameters())
    if cell == "gru":
        out, found = gradients_of(gru, [x, h0, Wx, Wh, bx, bh])
    else:
        out, found = gradients_of(CELLS[cell][0], [x, h0, Wx, Wh, bx + bh, *c0])

    inputs = [torch.tensor(a, requires_grad=True) for a in (x, h0, *c0)]
    states = tuple(a[None] for a in inputs[1:])
    peer = net(inputs[0], states if cell == "lstm" else states[0])[0]
    peer.backward(torch.tensor(np.random.default_rng(0).standard_normal(out.shape)))  # as gradients_of draws it
    dWx, dWh, db, dbh = (w.grad.numpy()[order].T for w in net.parameters())
    dx, dh0, *dc0 = (a.grad.numpy() for a in inputs)
    np.testing.assert_allclose(out, peer.detach().numpy(), rtol=1e-10, atol=1e-12)
    wanted = [dx, dh0, dWx, dWh, db, *([dbh] if cell == "gru" else dc0)]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_what_is_left_out_is_zero():
    x, h0, Wx, Wh, b, c0 = arguments("lstm")
    np.testing.assert_array_equal(lstm(x, h0, Wx, Wh, b), lstm(x, h0, Wx, Wh, b, np.zeros_like(c0)))
    agrees(lambda *args: lstm(*args), x, h0, Wx, Wh, b)
    x, h0, Wx, Wh, b, _ = arguments("gru")
    zeros = np.zeros_like(b)
    np.testing.assert_array_equal(gru(x, h0, Wx, Wh, b), gru(x, h0, Wx, Wh, b, zeros))
    np.testing.assert_array_equal(gru_step(x[:, 0], h0, Wx, Wh, b), gru_step(x[:, 0], h0, Wx, Wh, b, zeros))
    agrees(lambda *args: gru(*args), x, h0, Wx, Wh, b)
    agrees(lambda *args: gru_step(*args), x[:, 0], h0, Wx, Wh, b)


# --- derivatives -----------------------------------------------------------------------------------------------------


@every_cell
def test_derivatives(cell):
    args = arguments(cell, d=2, width=3)
    agrees(CELLS[cell][0], *args)
    for position in range(len(args)):
        check_derivatives(CELLS[cell][0], args, wrt=(position,))


@every_cell
def test_derivatives_in_both_modes(cell):
    mg.check_grads(CELLS[cell][0], tuple(arguments(cell, t=2, d=2, width=2)))


def test_states_and_cells_of_a_step():
    x, h, Wx, Wh, b, c = arguments("lstm")
    args = x[:, 0], h, c, Wx, Wh, b
    agrees(lambda *args: lstm_step(*args), *args)
    for number in range(2):
        agrees(lambda *args, number=number: lstm_step(*args)[number], *args)


def test_states_and_cells_of_a_sequence():
    args = arguments("lstm", d=2, width=3)
    agrees(lambda *args: lstm(*args, cells=True), *args)
    agrees(lambda *args: lstm(*args, cells=True)[1], *args)
    agrees(lambda *args: lstm(*args, cells=True)[1][:, -1], *args)


@every_cell
def test_a_sequence_goes_on_where_it_was_cut(cell):
    def whole(x, h0, *rest):
        return CELLS[cell][0](x, h0, *rest)

    def cut(x, h0, *rest):
        if cell == "lstm":
            *weights, c0 = rest
            h, c = lstm(x[:, :2], h0, *weights, c0, cells=True)
            rest = (*weights, c[:, -1])
        else:
            h = whole(x[:, :2], h0, *rest)
        return np.concatenate([h, whole(x[:, 2:], h[:, -1], *rest)], axis=1)

    args = arguments(cell, t=4)
    found, wanted = gradients_of(cut, args), gradients_of(whole, args)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12, atol=1e-12)
    for a, b in zip(found[1], wanted[1]):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_the_backward_kernel_serves_cells_as_well(monkeypatch):
    """The reference is for higher orders: neither states nor cells need it in the first."""

    def refuse(*args, **params):
        raise AssertionError("the reference was called")

    for op in (lstm_cell, lstm_sequence, lstm_states):
        monkeypatch.setattr(op, "reference", refuse)
    x, h, Wx, Wh, b, c = arguments("lstm")
    gradients_of(lstm_step, [x[:, 0], h, c, Wx, Wh, b])
    gradients_of(lambda *args: lstm(*args, cells=True), arguments("lstm"))
    gradients_of(lambda *args: lstm(*args, cells=True)[1], arguments("lstm"))


@every_cell
def test_no_gradient_that_is_not_wanted(cell):
    """Constant inputs cost nothing, and the others have their gradients all the same."""
    args = arguments(cell)
    wanted = gradients_of(CELLS[cell][0], args)[1]
    for position in range(len(args)):
        _, (found,) = gradients_of(CELLS[cell][0], args, wrt=(position,))
        np.testing.assert_allclose(found, wanted[position], rtol=1e-12, atol=1e-13)


# --- dtypes and sizes ------------------------------------------------------------------------------------------------


@every_cell
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtype_is_kept(cell, dtype):
    sequence, step, _ = CELLS[cell]
    args = [a.astype(dtype) for a in arguments(cell)]
    if cell == "gru":
        args.pop()  # the zeros in its place have the dtype of b
    out, gradients = gradients_of(sequence, args[:5])
    assert {out.dtype, *(g.dtype for g in gradients)} == {np.dtype(dtype)}
    states = [args[1]] * (2 if cell == "lstm" else 1)
    out, gradients = gradients_of(lambda *args: step(*args), [args[0][:, 0], *states, *args[2:5]])
    assert {*(h.dtype for h in as_tuple(out)), *(g.dtype for g in gradients)} == {np.dtype(dtype)}


@every_cell
def test_mixed_dtypes_and_integers(cell):
    x, h0, *weights = arguments(cell)
    x = np.round(3 * x)
    wanted = CELLS[cell][0](x, np.zeros_like(h0), *weights)
    found = CELLS[cell][0](x.astype(np.int8), np.zeros(h0.shape, bool), *weights)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    mixed = CELLS[cell][0](x.astype(np.float32), h0, *weights)
    assert mixed.dtype == np.float64
    assert CELLS[cell][0](*(np.ones(a.shape, np.int8) for a in arguments(cell))).dtype == np.float16


@every_cell
@pytest.mark.parametrize("n, t", [(0, 3), (2, 0), (0, 0), (1, 1)])
def test_no_samples_and_no_steps(cell, n, t):
    args = arguments(cell, n=n, t=t)
    out, gradients = gradients_of(CELLS[cell][0], args)
    assert out.shape == (n, t, H)
    assert [g.shape for g in gradients] == [a.shape for a in args]
    if n * t == 0:
        assert not any(g.any() for g in gradients)
    second = mg.grad(
        lambda *args: sum(np.sum(g) for g in mg.grad(lambda *a: np.sum(CELLS[cell][0](*a)), (0, 2))(*args))
    )
    assert second(*args).shape == args[0].shape


@every_cell
def test_saturated_gates_are_exact(cell):
    """Numbers far beyond the range of exp give gates of 0 and 1, without a warning."""
    args = [1e4 * a for a in arguments(cell)]
    for dtype in (np.float64, np.float32):
        out, gradients = gradients_of(CELLS[cell][0], [a.astype(dtype) for a in args])
        assert np.isfinite(out).all()
        assert all(np.isfinite(g).all() for g in gradients)


def test_lists_and_keywords():
    x, h, W = [[[1.0]]], [[0.5]], [[1.0]]
    np.testing.assert_allclose(rnn(x, h, W, W, [0.0]), [[[np.tanh(1.5)]]])
    np.testing.assert_allclose(rnn_step(x[0], h, b=[0.0], Wh=W, Wx=W), [[np.tanh(1.5)]])
    zeros = [[0.0] * 4]
    np.testing.assert_allclose(lstm(x, h, zeros, zeros, [0.0] * 4, c0=[[1.0]]), [[[0.5 * np.tanh(0.5)]]])
    np.testing.assert_allclose(gru(x, h, Wx=[[0.0] * 3], Wh=[[0.0] * 3], b=[0.0] * 3), [[[0.25]]])


@every_cell
def test_a_sequence_is_one_node(cell):
    tape = mg.Tape(full=False)
    CELLS[cell][0](*map(tape.watch, arguments(cell)))
    names = [str(node.name) for node in tape.nodes if node.primitive is not None]
    assert names == {"rnn": ["rnn"], "gru": ["gru_sequence"], "lstm": ["lstm_sequence"]}[cell]


# --- messages --------------------------------------------------------------------------------------------------------

FITTING = {"x": (2, 3, 4), "h0": (2, 5), "Wx": (4, 20), "Wh": (5, 20), "b": (20,)}


@pytest.mark.parametrize(
    "wrong, text",
    [
        (
            {"Wx": (4, 15)},
            r"^lstm: x \(2, 3, 4\), h0 .*: Wx must be \(D, 4H\) = \(4, 20\); 15 columns are for gru$",
        ),
        ({"Wx": (4, 15), "Wh": (5, 15), "b": (15,)}, r"Wx must be \(D, 4H\) = \(4, 20\); 15 columns are for gru"),
        ({"Wx": (4, 5), "Wh": (5, 5), "b": (5,)}, r"Wx must be .* = \(4, 20\); 5 columns are for rnn"),
        ({"Wx": (20, 4)}, r"Wx must be \(D, 4H\) = \(4, 20\); did you mean Wx.T\?"),
        ({"Wh": (20, 5)}, r"Wh must be \(H, 4H\) = \(5, 20\); did you mean Wh.T\?"),
        ({"Wx": (3, 20)}, r"Wx must be \(D, 4H\) = \(4, 20\)$"),
        ({"Wh": (6, 20)}, r"Wh must be \(H, 4H\) = \(5, 20\)$"),
        ({"h0": (2, 6)}, r"h0 must be \(N, H\) = \(2, 5\)$"),
        ({"h0": (3, 5)}, r"h0 must be \(N, H\) = \(2, 5\); x seems to have its steps first: np.swapaxes\(x, 0, 1\)"),
        ({"h0": (5,)}, r"h0 must be \(N, H\), and is \(5,\)"),
        ({"b": (5,)}, r"b must be \(4H,\) = \(20,\); 5 columns"),
        ({"b": (4, 5)}, r"b must be \(4H,\), and is \(4, 5\)"),
        ({"x": (3, 4)}, r"x must be \(N, T, D\), and is \(3, 4\); a single step is for lstm_step, .* x\[None\]"),
        ({"c0": (2, 4)}, r"c0 must be \(N, H\) = \(2, 5\)"),
        ({"c0": (5,)}, r"c0 must be \(N, H\), and is \(5,\)"),
    ],
    ids=str,
)
def test_shapes_that_do_not_fit(wrong, text):
    args = {what: np.ones(shape) for what, shape in {**FITTING, **wrong}.items()}
    with pytest.raises(ShapeError, match=text):
        lstm(**args)
    with pytest.raises(ShapeError, match=text):
        mg.grad(lambda Wx: np.sum(lstm(**{**args, "Wx": Wx})))(args["Wx"])


def test_messages_name_what_was_called():
    x, h0, Wx, Wh, b, bh = arguments("gru")
    with pytest.raises(ShapeError, match=r"^gru_step: x .*, h .*, bh \(14,\): bh must be \(3H,\) = \(15,\)$"):
        gru_step(x[:, 0], h0, Wx, Wh, b, bh[1:])
    with pytest.raises(ShapeError, match=r"^rnn: .*: Wx must be \(D, H\) = \(4, 5\); 15 columns are for gru$"):
        rnn(x, h0, Wx, Wh, b)
    with pytest.raises(
        ShapeError, match=r"x must be \(N, D\), and is \(2, 3, 4\); whole sequences \(N, T, D\) are for rnn$"
    ):
        rnn_step(x, h0, Wx, Wh, b)
    with pytest.raises(ShapeError, match=r"^lstm_step: x .*, h .*, c \(1, 5\), .*: c must be \(N, H\) = \(2, 5\)$"):
        lstm_step(x[:, 0], h0, h0[:1], np.ones((4, 20)), np.ones((5, 20)), np.ones(20))
    with pytest.raises(ShapeError, match=r"x must be \(N, T, D\).*; words become vectors by mg.embedding"):
        gru(np.arange(6).reshape(2, 3), h0, Wx, Wh, b)
    with pytest.raises(ShapeError, match="gru in decoder: "), mg.scope("decoder"):
        gru(x, h0[0], Wx, Wh, b)


@pytest.mark.parametrize("what", range(5))
def test_numbers_that_are_not_real(what):
    args = arguments("rnn")
    args[what] = args[what] + 0j
    name = ("x", "h0", "Wx", "Wh", "b")[what]
    with pytest.raises(DTypeError, match=rf"rnn: {name} is complex128 .*real numbers"):
        rnn(*args)
    with pytest.raises(DTypeError, match="h0 is object"):
        rnn(args[0].real, None, *args[2:])
