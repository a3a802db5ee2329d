"""Numeric derivatives: what the tests hold minigrad's gradients against.

A derivative is checked along a random direction: the derivative of a projected function, found by minigrad, against
central differences of that function. The result is again a function of the same arguments, so the same comparison
serves every order.
"""

import inspect

import numpy as np

import minigrad as mg


def is_float_array(x):
    """Whether an argument can be differentiated with respect to: floating-point arrays, not numbers or labels."""
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def float_positions(args):
    """Return the positions of the arguments that can be differentiated with respect to."""
    return tuple(i for i, x in enumerate(args) if is_float_array(x))


def source(f):
    """Return the text of a lambda that has a line to itself, as the name of a test case."""
    return inspect.getsource(f).strip().rstrip(",").removeprefix("lambda x: ") if inspect.isfunction(f) else None


def as_tuple(out):
    """Return the outputs of an op as a tuple, also when there is one."""
    return tuple(out) if isinstance(out, (tuple, list)) else (out,)


def random_like(rng, values, dtype=None):
    """Return normal numbers of the shapes of some arrays."""
    return [np.asarray(rng.standard_normal(np.shape(x)), dtype or np.result_type(x)) for x in values]


def projected(f, rng, args):
    """Return ``f`` reduced to one number: the sum of its outputs' elements with fixed random weights."""
    weights = random_like(rng, as_tuple(f(*args)))

    def number(*args):
        outputs = as_tuple(f(*args))
        return sum(np.sum(out * weight) for out, weight in zip(outputs, weights))

    return number


def slope(number, wrt, directions):
    """Return the function that gives the derivative of ``number`` along directions, found by minigrad."""

    def along(*args):
        gradients = mg.grad(number, wrt)(*args)
        return sum(np.sum(g * d) for g, d in zip(gradients, directions))

    return along


def numeric_slope(number, args, wrt, directions, step=1e-3):
    """Return the derivative of ``number`` along directions by central differences of the fourth order."""

    def at(t):
        moved = list(args)
        for position, direction in zip(wrt, directions):
            moved[position] = args[position] + t * direction
        return float(number(*moved))

    return (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)


def check_derivatives(f, args, *, orders=2, wrt=None, seed=0, tolerance=1e-8, step=1e-3):
    """Compare the derivatives of ``f`` up to an order with central differences, in float64.

    Parameters
    ----------
    f : callable
        Of arrays; returns one array, or several.
    args : sequence
        Its arguments. Those at `wrt` (all floating-point arrays, when it is left out) are differentiated.
    orders : int
        2 also compares the derivative of the derivative, and so on.
    tolerance : float
        Relative to ``1 + |derivative|``; ten times that for each order above the first.
    """
    rng = np.random.default_rng(seed)
    wrt = float_positions(args) if wrt is None else tuple(wrt)
    number = projected(f, rng, args)
    for order in range(1, orders + 1):
        directions = [d / max(1.0, np.sqrt(d.size)) for d in random_like(rng, [args[i] for i in wrt])]
        found = slope(number, wrt, directions)
        exact, numeric = float(found(*args)), numeric_slope(number, args, wrt, directions, step)
        allowed = tolerance * 10 ** (order - 1) * (1 + abs(numeric))
        assert abs(exact - numeric) <= allowed, (
            f"order {order} with respect to arguments {wrt}: {exact!r} by rules, {numeric!r} by differences "
            f"(they differ by {abs(exact - numeric):.1e}, {allowed:.1e} is allowed; seed {seed})"
        )
        number = found


def pullback_of(f, args, wrt=None):
    """Return outputs and pullback of ``f`` with respect to some of its arguments (all floating-point arrays)."""
    wrt = float_positions(args) if wrt is None else tuple(wrt)

    def of_chosen(*chosen):
        full = list(args)
        for position, x in zip(wrt, chosen):
            full[position] = x
        return f(*full)

    return mg.vjp(of_chosen, *(args[i] for i in wrt))


def gradients_of(f, args, wrt=None, seed=0, dtype=None):
    """Return outputs and gradients of ``f`` for random cotangents that depend on the seed and the shapes alone."""
    out, pullback = pullback_of(f, args, wrt)
    cotangents = random_like(np.random.default_rng(seed), as_tuple(out), dtype)
    return out, pullback(type(out)(cotangents) if isinstance(out, (tuple, list)) else cotangents[0])


def agrees(f, *args, orders=2, wrt=None):
    """Check that an expression has the same value on arrays and under a derivative, and the right derivatives."""
    plain = f(*args)
    out, gradients = gradients_of(f, args, wrt)
    for a, b in zip(as_tuple(out), as_tuple(plain)):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    for position, gradient in zip(float_positions(args) if wrt is None else wrt, gradients):
        assert gradient.shape == args[position].shape
    check_derivatives(f, args, orders=orders, wrt=wrt)
