"""What the tests of the course's pairs share: a backward pass against differences, as the notebooks do it."""

import numpy as np

from minigrad import cs231n


def check_pair(name, args, params=(), outputs=1, tolerance=1e-8):
    """Compare what ``NAME_backward`` returns with numerical gradients, argument by argument.

    Parameters
    ----------
    name : str
        Of the layer, without ``_forward``; a part after a slash goes to the end: ``"conv/naive"``.
    args : list of arrays
        Those that get a gradient.
    params : sequence
        What follows them.
    """
    base, _, end = name.partition("/")
    end = f"_{end}" if end else ""
    forward, backward = (getattr(cs231n, f"{base}_{way}{end}") for way in ("forward", "backward"))
    *outs, cache = forward(*args, *params)
    assert len(outs) == outputs
    rng = np.random.default_rng(7)
    douts = [rng.standard_normal(out.shape) for out in outs]
    found = backward(*douts, cache)
    found = found if len(args) > 1 else (found,)
    assert type(found) is tuple and len(found) == len(args)

    def total(_):
        *outs, _ = forward(*args, *params)  # an argument is moved in place
        return np.array(sum(np.sum(out * dout) for out, dout in zip(outs, douts)))

    for x, dx in zip(args, found):
        assert type(dx) is np.ndarray and dx.shape == x.shape and dx.dtype == x.dtype
        wanted = cs231n.eval_numerical_gradient_array(total, x, 1.0)
        assert relative(dx, wanted) < tolerance
    return outs, found


def relative(x, y):
    """Return the largest difference, relative to the largest entries where they are above 1."""
    return np.max(np.abs(x - y)) / max(1.0, np.max(np.abs(x) + np.abs(y)))
