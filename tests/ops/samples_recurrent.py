"""Samples of recurrent networks: step by step, and their gradients by backpropagation through time, written by hand."""

import numpy as np

from minigrad.ops import recurrent
from tests.ops.samples import normal, row

# --- one step, forward and backward ----------------------------------------------------------------------------------

# States are tuples: (h,) or (h, c). The way back gives the cotangents of x, of the states before, and of the weights.


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def affine_backward(d, x, w):
    """The cotangents of x, w and b in ``x @ w + b``."""
    return d @ w.T, x.T @ d, d.sum(axis=0)


def rnn_step(x, states, Wx, Wh, b):
    return (np.tanh(x @ Wx + states[0] @ Wh + b),)


def rnn_step_back(d_states, x, states, Wx, Wh, b):
    d = d_states[0] * (1 - np.square(rnn_step(x, states, Wx, Wh, b)[0]))
    (d_x, d_Wx, d_b), (d_h, d_Wh, _) = affine_backward(d, x, Wx), affine_backward(d, states[0], Wh)
    return d_x, (d_h,), (d_Wx, d_Wh, d_b)


def lstm_gates(x, h, Wx, Wh, b):
    i, f, o, g = np.split(x @ Wx + h @ Wh + b, 4, axis=1)
    return sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)


def lstm_step(x, states, Wx, Wh, b):
    i, f, o, g = lstm_gates(x, states[0], Wx, Wh, b)
    c = f * states[1] + i * g
    return o * np.tanh(c), c


def lstm_step_back(d_states, x, states, Wx, Wh, b):
    (h, c), (d_h, d_c) = states, d_states
    i, f, o, g = lstm_gates(x, h, Wx, Wh, b)
    tanh_c = np.tanh(f * c + i * g)
    d_c = d_c + d_h * o * (1 - tanh_c**2)
    into = [d_c * g * i * (1 - i), d_c * c * f * (1 - f), d_h * tanh_c * o * (1 - o), d_c * i * (1 - g**2)]
    d = np.concatenate(into, axis=1)
    (d_x, d_Wx, d_b), (d_h, d_Wh, _) = affine_backward(d, x, Wx), affine_backward(d, h, Wh)
    return d_x, (d_h, d_c * f), (d_Wx, d_Wh, d_b)


def gru_gates(x, h, Wx, Wh, b, bh):
    (ar, az, an), (ur, uz, un) = np.split(x @ Wx + b, 3, axis=1), np.split(h @ Wh + bh, 3, axis=1)
    r = sigmoid(ar + ur)
    return r, sigmoid(az + uz), np.tanh(an + r * un), un


def gru_step(x, states, Wx, Wh, b, bh):
    _, z, n, _ = gru_gates(x, states[0], Wx, Wh, b, bh)
    return ((1 - z) * n + z * states[0],)


def gru_step_back(d_states, x, states, Wx, Wh, b, bh):
    (h,), (d_after,) = states, d_states
    r, z, n, un = gru_gates(x, h, Wx, Wh, b, bh)
    d_n = d_after * (1 - z) * (1 - n**2)
    d_z = d_after * (h - n) * z * (1 - z)
    d_r = d_n * un * r * (1 - r)
    d_x, d_Wx, d_b = affine_backward(np.concatenate([d_r, d_z, d_n], axis=1), x, Wx)
    d_h, d_Wh, d_bh = affine_backward(np.concatenate([d_r, d_z, d_n * r], axis=1), h, Wh)
    return d_x, (d_h + d_after * z,), (d_Wx, d_Wh, d_b, d_bh)


# --- whole sequences -------------------------------------------------------------------------------------------------


def run(step, x, states, weights):
    """Return the states before the first step and after each."""
    path = [states]
    for t in range(x.shape[1]):
        path.append(step(x[:, t], path[-1], *weights))
    return path


def backpropagated(step, back, g, x, states, weights):
    """Return the cotangents of x, the states and the weights; g has a cotangent (N, T, H) for each state."""
    path, d_x = run(step, x, states, weights), np.zeros_like(x)
    d_states, d_weights = [np.zeros_like(h) for h in states], [np.zeros_like(w) for w in weights]
    for t in reversed(range(x.shape[1])):
        d_after = [d + g_state[:, t] for d, g_state in zip(d_states, g)]
        d_x[:, t], d_states, found = back(d_after, x[:, t], path[t], *weights)
        d_weights = [total + d for total, d in zip(d_weights, found)]
    return (d_x, *d_states, *d_weights)


def sequence(step, count):
    """Return the function of x, states and weights that gives the states after each step, (N, T, H) each."""

    def f(x, *args):
        path = run(step, x, args[:count], args[count:])
        out = np.array(path[1:]).transpose(1, 2, 0, 3)
        return out if count == 2 else out[0]

    return f


def one_step(step, count):
    def f(x, *args):
        out = step(x, args[:count], *args[count:])
        return np.stack(out) if count == 2 else out[0]

    return f


def sequence_backward(step, back, count):
    def f(g, x, *args):
        return backpropagated(step, back, g if count == 2 else (g,), x, args[:count], args[count:])

    return f


def step_backward(back, count):
    def f(g, x, *args):
        d_x, d_states, d_weights = back(g if count == 2 else (g,), x, args[:count], *args[count:])
        return (d_x, *d_states, *d_weights)

    return f


def through(op):
    """Return the function that calls the backward kernel with what the forward kernel keeps for it."""

    def call(g, *args):
        return op.backward_op(g, *args, *op.all_outputs(*args)[1:], needs=op.args, unread=())

    return call


# --- rows ------------------------------------------------------------------------------------------------------------

N, T, D, H = 2, 3, 2, 3

for step, back, blocks, count, ops in [
    (rnn_step, rnn_step_back, 1, 1, (recurrent.rnn_step, recurrent.rnn)),
    (lstm_step, lstm_step_back, 4, 2, (recurrent.lstm_cell, recurrent.lstm_states)),
    (gru_step, gru_step_back, 3, 1, (recurrent.gru_cell, recurrent.gru_sequence)),
]:
    columns = blocks * H
    biases = [normal(columns) for _ in range(2 if step is gru_step else 1)]
    rest = (*[normal(N, H) for _ in range(count)], normal(D, columns), normal(H, columns), *biases)
    lead = (2,) if count == 2 else ()
    row(ops[0].name, (normal(N, D), *rest), one_step(step, count))
    row(ops[1].name, (normal(N, T, D), *rest), sequence(step, count))
    g, x = normal(*lead, N, H), normal(N, D)
    row(ops[0].backward_op.name, (g, x, *rest), step_backward(back, count), call=through(ops[0]))
    g, x = normal(*lead, N, T, H), normal(N, T, D)
    row(ops[1].backward_op.name, (g, x, *rest), sequence_backward(step, back, count), call=through(ops[1]))
    if count == 2:  # the state alone
        f = sequence(step, count)
        row("lstm_sequence", (x, *rest), lambda *args, f=f: f(*args)[0])
        f = sequence_backward(step, back, count)
        row(
            "lstm_sequence_backward",
            (g[0], x, *rest),
            lambda g, *args, f=f: f((g, np.zeros_like(g)), *args),
            call=through(recurrent.lstm_sequence),
        )
