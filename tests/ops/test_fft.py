"""Fourier transforms: every function of np.fft, with its sizes, axes and norms, on real and complex arrays."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.core.errors import NoGradientRule
from tests.gradients import agrees, gradients_of

rng = np.random.default_rng(31)
NORMS = [None, "backward", "ortho", "forward"]
OF_REAL = ["rfft", "ihfft"]
ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL_AXES = ["fftn", "ifftn", "rfftn", "irfftn"]
TWO_AXES = ["fft2", "ifft2", "rfft2", "irfft2"]


def normal(*shape):
    return rng.standard_normal(shape)


def check(name, shape, *args, **keywords):
    """Check a transform on real arrays, and on complex ones where it takes them."""
    function = getattr(np.fft, name)

    def parts(x):
        z = function(x, *args, **keywords)
        return np.real(z), np.imag(z)

    agrees(parts, normal(*shape))
    if not name.startswith(("rfft", "ihfft")):
        agrees(lambda re, im: parts(re + im * 1j), normal(*shape), normal(*shape))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_one_axis(name, norm):
    for n, axis in [(None, -1), (None, 0), (1, -1), (2, 1), (3, 1), (7, 1), (8, 0)]:
        check(name, (3, 4), n, axis, norm)


@pytest.mark.parametrize("name", SEVERAL_AXES)
def test_several_axes(name):
    shape = (3, 2, 4)
    check(name, shape)
    check(name, shape, None, (2, 0))
    check(name, shape, (5, 3), (0, 1), "ortho")
    check(name, shape, s=(2, -1), axes=(-1, 0), norm="forward")
    check(name, shape, axes=(1, 1))
    check(name, shape, axes=(1,))


@pytest.mark.parametrize("name", TWO_AXES)
def test_two_axes(name):
    check(name, (2, 3, 4))
    check(name, (3, 4), (2, 5), (1, 0), "ortho")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_sizes_without_axes_are_of_the_last_ones():
    for name in SEVERAL_AXES:
        check(name, (2, 3, 4), (3, 5))


def test_too_few_sizes():
    with pytest.raises(ValueError, match="as many sizes"):
        mg.grad(lambda x: np.fft.fftn(x, (2, 3), (0,)).real.sum())(np.ones((2, 3)))


@pytest.mark.parametrize("axes", [None, 0, -1, (0, 2), [1]], ids=str)
def test_shifts(axes):
    agrees(lambda x: np.fft.fftshift(x, axes), normal(3, 4, 5))
    agrees(lambda x: np.fft.ifftshift(x, axes), normal(3, 4, 5))


def test_a_filter_in_frequencies():
    """A loss through there and back, with the frequencies as plain numbers."""
    weights = np.exp(-np.fft.rfftfreq(8))
    agrees(lambda x: np.fft.irfft(np.fft.rfft(x) * weights, 8), normal(2, 8))
    agrees(lambda x, w: np.fft.irfft(np.fft.rfft(x) * w), normal(8), normal(5))
    agrees(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2), normal(6))


def test_parseval():
    """The gradient of the spectrum's energy is closed: ``d sum |X|^2 = 2 n x``."""
    x = normal(5)
    np.testing.assert_allclose(mg.grad(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2))(x), 10 * x)


def test_gradients_of_complex_leaves():
    """By the convention ``dL/da - i dL/db``: of ``sum |F z|^2 = n |z|^2`` it is ``2 n conj(z)``."""
    z = normal(4) + normal(4) * 1j
    np.testing.assert_allclose(mg.grad(lambda z: np.sum(np.abs(np.fft.fft(z)) ** 2))(z), 8 * np.conj(z))


def test_the_imaginary_part_of_frequency_0_is_not_read():
    """It is 0 in the spectrum of a real signal; the same holds for the highest frequency of an even size."""
    z = normal(3) + normal(3) * 1j
    gradient = mg.grad(lambda z: np.sum(np.fft.irfft(z) * np.arange(4.0)))(z)
    assert gradient[0].imag == 0 and gradient[2].imag == 0 and gradient[1].imag != 0


@pytest.mark.parametrize("name", ONE_AXIS + SEVERAL_AXES + TWO_AXES)
def test_float32_is_kept(name):
    x = normal(4, 4).astype(np.float32)
    out, (gradient,) = gradients_of(getattr(np.fft, name), [x])
    assert out.dtype == getattr(np.fft, name)(x).dtype
    assert gradient.dtype == np.float32


@pytest.mark.parametrize("name", ONE_AXIS + SEVERAL_AXES + TWO_AXES)
def test_ops_by_name_work_on_arrays(name):
    x = normal(3, 4)
    np.testing.assert_array_equal(getattr(mg.ops, name)(x), getattr(np.fft, name)(x))


@pytest.mark.parametrize("name", ONE_AXIS + SEVERAL_AXES + TWO_AXES)
def test_out_is_refused(name):
    with pytest.raises(NoGradientRule, match="out="):
        getattr(np.fft, name)(mg.Tape().watch(np.ones((2, 2))), out=np.ones(2))


def test_no_stacks_at_all():
    out, (gradient,) = gradients_of(np.fft.rfft, [np.ones((0, 4))])
    assert out.shape == (0, 3) and gradient.shape == (0, 4)
