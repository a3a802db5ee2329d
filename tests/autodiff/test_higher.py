"""Jacobians, Hessians and their products; and SciPy's optimisers, which take them as they are."""

from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize

import minigrad as mg
from minigrad.core.errors import DTypeError, MinigradError, OptionError, ShapeError

A, B = np.array([0.3, -0.7, 1.2]), np.array([1.5, 0.4, -0.6])
M = np.array([[1.0, 2.0, -0.5], [0.3, -1.0, 2.0]])
MODES = ["forward", "reverse", "auto"]
every_mode = pytest.mark.parametrize("mode", MODES)


def numeric_jacobian(f, x, step=1e-5):
    """Central differences of a function of one array, of shape ``f(x).shape + x.shape``."""
    columns = []
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        columns.append((np.asarray(f(up)) - np.asarray(f(down))) / (2 * step))
    return np.stack(columns, axis=-1).reshape(np.shape(f(x)) + x.shape)


# --- jacobian -------------------------------------------------------------------------------------------------------


class TestJacobian:
    @every_mode
    @pytest.mark.parametrize(
        "f",
        [
            lambda x: M @ np.sin(x),
            lambda x: np.sum(x**3),
            lambda x: np.outer(x, x * x),
            lambda x: np.linalg.norm(x) * x[:, None, None] * np.ones((1, 2, 2)),
            lambda x: x[0],
            lambda x: np.concatenate([x, np.exp(x), x[::-1]]),
        ],
        ids=["vector", "scalar", "matrix", "three axes", "one element", "longer"],
    )
    def test_against_differences(self, f, mode):
        found = mg.jacobian(f, mode=mode)(A)
        np.testing.assert_allclose(found, numeric_jacobian(f, A), atol=1e-9)
        assert found.shape == np.shape(f(A)) + (3,)

    @every_mode
    def test_of_a_matrix(self, mode):
        def f(X):
            return X @ X.T

        np.testing.assert_allclose(mg.jacobian(f, mode=mode)(M), numeric_jacobian(f, M), atol=1e-9)

    @every_mode
    def test_linear_functions_give_their_matrix_exactly(self, mode):
        np.testing.assert_array_equal(mg.jacobian(lambda x: M @ x, mode=mode)(A), M)

    @every_mode
    @pytest.mark.parametrize("argnums", [0, 1, -1, (0, 1), (1,), [1, 0], np.int64(1)], ids=str)
    def test_argnums(self, mode, argnums):
        found = mg.jacobian(lambda x, y, factor=1.0: factor * x * y, argnums, mode=mode)(A, B, factor=3.0)
        single = isinstance(argnums, (int, np.integer))
        for number, block in zip([argnums] if single else argnums, [found] if single else found):
            np.testing.assert_allclose(block, np.diag(3 * (A, B)[1 - number % 2]))
        assert single or type(found) is tuple

    @every_mode
    def test_containers_of_results_around_containers_of_arguments(self, mode):
        class Layer(NamedTuple):
            w: object
            b: object

        def f(layer, scale):
            return {"out": layer.w @ A + layer.b, "size": [scale * np.sum(layer.b**2)]}

        found = mg.jacobian(f, (0, 1), mode=mode)(Layer(M, B[:2]), 2.0)
        assert list(found) == ["out", "size"]
        layer, scale = found["out"]
        assert type(layer) is Layer
        np.testing.assert_allclose(layer.w, np.einsum("ij,k->ijk", np.eye(2), A))
        np.testing.assert_allclose(layer.b, np.eye(2))
        np.testing.assert_array_equal(scale, np.zeros(2))
        layer, scale = found["size"][0]
        np.testing.assert_allclose(layer.b, 4 * B[:2])
        np.testing.assert_array_equal(layer.w, np.zeros((2, 3)))
        np.testing.assert_allclose(scale, np.sum(B[:2] ** 2))

    @every_mode
    @pytest.mark.parametrize("x", [0.5, np.float64(0.5), np.array(0.5)])
    def test_numbers(self, mode, x):
        found = mg.jacobian(np.sin, mode=mode)(x)
        assert np.shape(found) == ()
        np.testing.assert_allclose(found, np.cos(0.5))
        np.testing.assert_allclose(mg.jacobian(lambda x: x * A, mode=mode)(x), A)

    @every_mode
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("shape", [(0,), (2, 0), (3,), ()], ids=str)
    def test_shapes_and_dtypes(self, mode, dtype, shape):
        found = mg.jacobian(lambda x: (np.sin(x), np.sum(x)), mode=mode)(np.ones(shape, dtype))
        assert found[0].shape == shape + shape
        assert found[1].shape == shape
        assert found[0].dtype == found[1].dtype == dtype

    @every_mode
    def test_an_empty_result(self, mode):
        assert mg.jacobian(lambda x: x[:0], mode=mode)(A).shape == (0, 3)

    @every_mode
    def test_constants(self, mode):
        found = mg.jacobian(lambda x: (3.0, np.argsort(x), x), mode=mode)(A)
        assert found[0].shape == (3,) and not found[0].any()
        assert found[1].shape == (3, 3) and not found[1].any()
        np.testing.assert_array_equal(found[2], np.eye(3))

    def test_auto_takes_the_shorter_way(self):
        calls = []

        def counted(f):
            return lambda x: calls.append(1) or f(x)

        mg.jacobian(counted(lambda x: x * np.ones(50)))(1.0)
        mg.jacobian(counted(lambda x: np.sum(x)))(np.ones(50))
        assert len(calls) <= 4

    @every_mode
    def test_holomorphic_functions(self, mode):
        z = A + 1j * B
        np.testing.assert_allclose(mg.jacobian(lambda z: np.exp(z) * 1j, mode=mode)(z), np.diag(1j * np.exp(z)))

    @every_mode
    def test_a_complex_result_of_real_arguments_keeps_its_imaginary_part(self, mode):
        """Or is refused; half of the derivative must not be dropped without a sign of it."""
        try:
            found = mg.jacobian(lambda x: np.exp(1j * x), mode=mode)(A)
        except MinigradError:
            return
        np.testing.assert_allclose(found, np.diag(1j * np.exp(1j * A)))

    @pytest.mark.parametrize("outer", MODES)
    @pytest.mark.parametrize("inner", MODES)
    def test_nested(self, outer, inner):
        second = mg.jacobian(mg.jacobian(lambda x: M @ x**3, mode=inner), mode=outer)(A)
        exact = np.einsum("ij,jk,jl->ikl", M, np.eye(3), np.diag(6 * A))
        np.testing.assert_allclose(second, exact)

    @every_mode
    def test_inside_a_gradient(self, mode):
        def f(x):
            return np.sum(mg.jacobian(lambda y: np.outer(y, y) @ x, mode=mode)(x) ** 2)

        np.testing.assert_allclose(mg.grad(f)(A), numeric_jacobian(f, A), rtol=1e-7)

    def test_with_respect_to_something_that_is_closed_over(self):
        np.testing.assert_allclose(mg.jacobian(lambda s: mg.jacobian(lambda x: s * x**2)(A))(2.0), np.diag(2 * A))

    def test_the_result_may_be_written_to(self):
        found = mg.jacobian(lambda x: x)(A)
        found[...] = 5.0

    def test_mistakes(self):
        with pytest.raises(OptionError, match="did you mean"):
            mg.jacobian(np.sin, mode="reverce")
        with pytest.raises(DTypeError, match="integer array"):
            mg.jacobian(np.sin)(np.arange(3))
        with pytest.raises(TypeError, match="argnums"):
            mg.jacobian(np.sin, argnums="x")

    def test_a_result_that_is_no_array_names_the_function(self):
        def forgetful(x):
            x * 2

        with pytest.raises(DTypeError, match="forgetful"):
            mg.jacobian(forgetful)(A)

    @pytest.mark.parametrize("transform", [mg.jacobian, mg.hessian, mg.grad], ids=lambda f: f.__name__)
    def test_argnums_that_do_not_fit(self, transform):
        with pytest.raises(MinigradError, match="argnums=1"):
            transform(lambda x: np.sum(x), 1)(A)
        with pytest.raises(ValueError, match="twice"):
            transform(lambda x, y: np.sum(x * y), (0, 0))(A, B)
        with pytest.raises(ValueError, match="twice"):
            transform(lambda x, y: np.sum(x * y), (1, -1))(A, B)


# --- hessian and hvp ------------------------------------------------------------------------------------------------


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


rng = np.random.default_rng(5)
X, Y, W = rng.standard_normal((6, 4)), rng.integers(0, 3, 6), 0.5 * rng.standard_normal((4, 3))
GAMMA, BETA = rng.uniform(0.5, 2, 3), rng.standard_normal(3)


def softmax(w):
    return mg.softmax_loss(X @ w, Y)


def normalised(w):
    return np.sum(np.tanh(mg.batchnorm(X @ w, GAMMA, BETA)) ** 2)


def svm(w):
    return mg.svm_loss(X @ w, Y) + 0.05 * np.sum(w * w)


class TestHessian:
    @pytest.mark.parametrize("f", [softmax, normalised, svm], ids=lambda f: f.__name__)
    def test_layers_and_losses(self, f):
        """Symmetric, equal to differences of the gradient, and times a vector equal to hvp."""
        H = mg.hessian(f)(W)
        assert H.shape == (4, 3, 4, 3)
        np.testing.assert_allclose(H, H.transpose(2, 3, 0, 1), atol=1e-12)
        np.testing.assert_allclose(H, numeric_jacobian(mg.grad(f), W), atol=1e-7)
        v = rng.standard_normal(W.shape)
        np.testing.assert_allclose(mg.hvp(f)(W, v), np.tensordot(H, v, 2), atol=1e-12)
        np.testing.assert_allclose(mg.jacobian(mg.grad(f), mode="reverse")(W), H, atol=1e-12)

    def test_convexity_of_the_softmax_loss(self):
        H = mg.hessian(softmax)(W).reshape(12, 12)
        assert np.linalg.eigvalsh(H).min() > -1e-12

    def test_rosenbrock(self):
        x = np.array([1.2, 0.7, -0.4])
        np.testing.assert_allclose(mg.hessian(rosenbrock)(x), scipy.optimize.rosen_hess(x))
        v = np.array([0.3, 1.0, -2.0])
        np.testing.assert_allclose(mg.hvp(rosenbrock)(x, v), scipy.optimize.rosen_hess_prod(x, v))

    def test_argnums_give_all_blocks(self):
        blocks = mg.hessian(lambda x, y: np.sum(x**2 * y), (0, 1))(A, B)
        np.testing.assert_allclose(blocks[0][0], np.diag(2 * B))
        np.testing.assert_allclose(blocks[0][1], np.diag(2 * A))
        np.testing.assert_allclose(blocks[1][0], np.diag(2 * A))
        np.testing.assert_array_equal(blocks[1][1], np.zeros((3, 3)))
        np.testing.assert_allclose(mg.hessian(lambda x, y: np.sum(x * y**3), 1)(A, B), np.diag(6 * A * B))

    def test_containers(self):
        H = mg.hessian(lambda p: np.sum(p["w"] ** 2) * p["b"])({"w": A, "b": 2.0})
        np.testing.assert_allclose(H["w"]["w"], 4 * np.eye(3))
        np.testing.assert_allclose(H["w"]["b"], 2 * A)
        np.testing.assert_allclose(H["b"]["w"], 2 * A)
        assert H["b"]["b"] == 0.0

    def test_numbers_and_empty_arrays(self):
        np.testing.assert_allclose(mg.hessian(np.sin)(0.5), -np.sin(0.5))
        assert mg.hessian(lambda x: np.sum(x**2))(np.zeros(0)).shape == (0, 0)

    def test_dtype_is_kept(self):
        x = A.astype(np.float32)
        assert mg.hessian(rosenbrock)(x).dtype == np.float32
        assert mg.hvp(rosenbrock)(x, x).dtype == np.float32
        assert mg.hessian(rosenbrock)(x[:0]).dtype == np.float32

    def test_functions_without_curvature(self):
        assert not mg.hessian(lambda x: np.sum(x * B))(A).any()
        assert not mg.hessian(lambda x: 3.0 + 0.0 * x[0])(A).any()
        assert not mg.hvp(lambda x: np.sum(x * B))(A, B).any()

    def test_the_result_must_be_one_number(self):
        with pytest.raises(ShapeError, match="one number"):
            mg.hessian(np.sin)(A)
        with pytest.raises(ShapeError, match="one number"):
            mg.hvp(np.sin)(A, A)

    def test_third_order(self):
        T = mg.jacobian(mg.hessian(lambda x: np.sum(np.sin(x * B))))(A)
        exact = np.zeros((3, 3, 3))
        exact[range(3), range(3), range(3)] = -np.cos(A * B) * B**3
        np.testing.assert_allclose(T, exact, atol=1e-14)


class TestHvp:
    def test_other_arguments_and_keywords(self):
        def f(x, y, power=2):
            return np.sum(x**power * y)

        np.testing.assert_allclose(mg.hvp(f)(A, B, B, power=3), 6 * A * B * B)

    def test_containers(self):
        found = mg.hvp(lambda p: np.sum(p["w"] ** 2) * p["b"])({"w": A, "b": 2.0}, {"w": B, "b": 1.0})
        np.testing.assert_allclose(found["w"], 4 * B + 2 * A)
        np.testing.assert_allclose(found["b"], 2 * A @ B)

    def test_the_vector_must_fit(self):
        with pytest.raises(ShapeError):
            mg.hvp(rosenbrock)(A, np.ones(2))

    def test_of_a_gradient_inside(self):
        """Differentiated again: the gradient of v . H v."""

        def curvature(x):
            return np.sum(B * mg.hvp(rosenbrock)(x, B))

        np.testing.assert_allclose(mg.grad(curvature)(A), numeric_jacobian(curvature, A), rtol=1e-6)

    def test_the_result_is_an_array_of_its_own(self):
        v = B.copy()
        found = mg.hvp(lambda x: 0.5 * np.sum(x * x))(A, v)
        found[...] = np.nan
        np.testing.assert_array_equal(v, B)


# --- elementwise_grad -----------------------------------------------------------------------------------------------


class TestElementwise:
    @pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 2, 1)], ids=str)
    def test_shapes(self, shape):
        x = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
        found = mg.elementwise_grad(np.tanh)(x)
        assert found.shape == shape
        np.testing.assert_allclose(found, 1 - np.tanh(x) ** 2)

    def test_numbers_dtypes_and_orders(self):
        assert mg.elementwise_grad(np.sin)(0.0) == 1.0
        assert mg.elementwise_grad(np.sin)(A.astype(np.float32)).dtype == np.float32
        f = np.sin
        for exact in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
            f = mg.elementwise_grad(f)
            np.testing.assert_allclose(f(M), exact(M))

    def test_complex(self):
        z = A + 1j * B
        np.testing.assert_allclose(mg.elementwise_grad(lambda z: z**3)(z), 3 * z**2)

    @pytest.mark.parametrize("argnum", [1, -1])
    def test_argnum_and_keywords(self, argnum):
        found = mg.elementwise_grad(lambda x, y, power=1: x * y**power, argnum)(A, B, power=2)
        np.testing.assert_allclose(found, 2 * A * B)

    def test_mistakes(self):
        with pytest.raises(ShapeError, match="not elementwise"):
            mg.elementwise_grad(np.sum)(A)
        with pytest.raises(DTypeError, match="integer"):
            mg.elementwise_grad(np.sin)(np.arange(3))
        with pytest.raises(MinigradError, match="argnum"):
            mg.elementwise_grad(np.sin, 1)(A)

    def test_mixed_with_the_others(self):
        """Of a jvp; and the diagonal of a Jacobian."""
        f = mg.elementwise_grad(lambda x: mg.jvp(np.sin, (x,), (np.ones(3),))[1])
        np.testing.assert_allclose(f(A), -np.sin(A))
        np.testing.assert_allclose(np.diag(mg.jacobian(mg.elementwise_grad(np.exp))(A)), np.exp(A))


@pytest.mark.parametrize("transform", [mg.grad, mg.jacobian, mg.hessian, mg.hvp, mg.elementwise_grad])
def test_names_and_documentation_are_kept(transform):
    assert transform(rosenbrock).__name__ == "rosenbrock"


# --- SciPy ----------------------------------------------------------------------------------------------------------


class TestScipy:
    x0 = np.array([1.3, 0.7, 0.8, 1.9])

    @pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "TNC", "SLSQP"])
    def test_with_the_gradient(self, method):
        found = scipy.optimize.minimize(mg.value_and_grad(rosenbrock), self.x0, jac=True, method=method)
        assert found.success, found.message
        np.testing.assert_allclose(found.x, np.ones(4), atol=1e-3)

    @pytest.mark.parametrize("method", ["Newton-CG", "trust-exact", "trust-ncg", "dogleg"])
    def test_with_the_hessian(self, method):
        start = self.x0 if method != "dogleg" else np.array([1.1, 1.2, 1.5, 2.2])  # where the Hessian is definite
        found = scipy.optimize.minimize(
            mg.value_and_grad(rosenbrock), start, jac=True, hess=mg.hessian(rosenbrock), method=method
        )
        np.testing.assert_allclose(found.x, np.ones(4), atol=1e-4)

    @pytest.mark.parametrize("method", ["Newton-CG", "trust-ncg", "trust-krylov"])
    def test_with_the_product(self, method):
        found = scipy.optimize.minimize(
            mg.value_and_grad(rosenbrock), self.x0, jac=True, hessp=mg.hvp(rosenbrock), method=method
        )
        np.testing.assert_allclose(found.x, np.ones(4), atol=1e-4)

    def test_further_arguments(self):
        def f(x, centre, scale):
            return np.sum(scale * (x - centre) ** 2)

        common = dict(args=(A, 2.0), jac=True, method="Newton-CG")
        for second in ({"hess": mg.hessian(f)}, {"hessp": lambda x, v, *args: mg.hvp(f)(x, v, *args)}):
            found = scipy.optimize.minimize(mg.value_and_grad(f), np.zeros(3), **common, **second)
            np.testing.assert_allclose(found.x, A, atol=1e-6)

    def test_least_squares_and_roots_with_the_jacobian(self):
        t = np.linspace(0, 1, 20)
        data = 2.0 * np.exp(-1.3 * t)

        def residuals(p):
            return p[0] * np.exp(-p[1] * t) - data

        found = scipy.optimize.least_squares(residuals, [1.0, 1.0], jac=mg.jacobian(residuals))
        np.testing.assert_allclose(found.x, [2.0, 1.3], atol=1e-6)

        def equations(x):
            return np.stack([x[0] + 0.5 * (x[0] - x[1]) ** 3 - 1.0, 0.5 * (x[1] - x[0]) ** 3 + x[1]])

        root = scipy.optimize.root(equations, [0.0, 0.0], jac=mg.jacobian(equations))
        np.testing.assert_allclose(equations(root.x), 0.0, atol=1e-10)

    def test_constraints(self):
        bound = {"type": "eq", "fun": lambda x: np.sum(x * x) - 1.0}
        bound["jac"] = mg.grad(bound["fun"])
        found = scipy.optimize.minimize(
            mg.value_and_grad(lambda x: np.sum(x * A)), np.array([1.0, 0.0, 0.0]), jac=True, constraints=bound
        )
        np.testing.assert_allclose(found.x, -A / np.linalg.norm(A), atol=1e-4)
