"""Threads and asyncio tasks do not see each other: nothing is global."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minigrad as mg

THREADS = 8


def in_threads(work, count=THREADS):
    """Run ``work(i)`` in threads that start together; return the results, or raise what one of them raised."""
    start = threading.Barrier(count)

    def run(i):
        start.wait()
        return work(i)

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run, i) for i in range(count)]]


def test_different_functions_at_once():
    functions = [np.sin, np.cos, np.tanh, np.exp, np.square, lambda x: x**3, lambda x: 1 / x, np.log]
    x = np.linspace(0.5, 2.0, 7)
    expected = [mg.grad(lambda x, f=f: np.sum(f(x)))(x) for f in functions]

    def work(i):
        return [mg.grad(lambda x: np.sum(functions[i](x)))(x) for _ in range(50)]

    for results, reference in zip(in_threads(work), expected):
        for result in results:
            np.testing.assert_array_equal(result, reference)


def test_nested_derivatives_at_once():
    def f(x, k):
        return mg.grad(lambda y: y * mg.grad(lambda z: x * y * z**k)(y))(x)

    def work(i):
        return [float(mg.grad(lambda x: f(x, i + 2))(1.5)) for _ in range(30)]

    for i, results in enumerate(in_threads(work)):
        k = i + 2  # y * d/dz = k x y^(k+1); its derivative at y = x: k (k+1) x^(k+1); and that one's: k (k+1)^2 x^k
        np.testing.assert_allclose(results, k * (k + 1) ** 2 * 1.5**k)


def test_an_op_defined_just_now_is_first_used_by_many_threads_at_once():
    @mg.primitive
    def fresh(x, y):
        return x * y

    fresh.vjp(x=lambda g, y: g * y, y=lambda g, x: g * x)
    results = in_threads(lambda i: mg.grad(lambda x: fresh(x, x) + fresh(x, 2.0))(float(i)))
    assert results == [2.0 * i + 2 for i in range(THREADS)]


def test_an_inner_gradient_taken_in_another_thread():
    def f(x):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: mg.grad(lambda y: x * y * y)(x)).result()

    assert mg.grad(f)(3.0) == 4 * 3.0


def test_one_pullback_called_by_many_threads():
    x = np.linspace(0, 1, 100)
    _, pullback = mg.vjp(lambda x: np.tanh(x) * np.exp(x), x)
    expected = pullback(np.ones(100))[0]
    for result in in_threads(lambda i: pullback(np.ones(100))[0]):
        np.testing.assert_array_equal(result, expected)


def test_models_of_their_own_in_threads():
    from minigrad.demo import TwoLayerNet

    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 8)), rng.integers(3, size=20)

    def train(i):
        model = TwoLayerNet(8, 10, 3, weight_scale=0.3, reg=0.1, seed=i)
        for _ in range(20):
            loss, grads = model.loss(X, y)
            for name in grads:
                model.params[name] = model.params[name] - 0.1 * grads[name]
        return loss

    assert in_threads(train) == [train(i) for i in range(THREADS)]


def test_scopes_do_not_leak_between_threads():
    def work(i):
        scopes = []
        for _ in range(50):
            tape = mg.Tape()
            x = tape.watch(1.0)
            with mg.scope(f"thread{i}"), mg.scope("inner"):
                np.sin(x)
            np.cos(x)
            scopes.append([node.scope for node in tape.nodes])
        return scopes

    with mg.scope("main"):
        for i, scopes in enumerate(in_threads(work)):
            assert scopes == [["", f"thread{i}/inner", ""]] * 50


def test_scopes_do_not_leak_between_tasks():
    async def task(i):
        tape = mg.Tape()
        x = tape.watch(1.0)
        with mg.scope(f"task{i}"):
            await asyncio.sleep(0)
            np.sin(x)
            await asyncio.sleep(0)
            with mg.scope("inner"):
                await asyncio.sleep(0)
                np.sin(x)
        await asyncio.sleep(0)
        np.cos(x)
        return [node.scope for node in tape.nodes[1:]]

    async def main():
        with mg.scope("main"):
            return await asyncio.gather(*[task(i) for i in range(5)])

    results = asyncio.run(main())
    assert results == [[f"main/task{i}", f"main/task{i}/inner", "main"] for i in range(5)]


def test_one_scope_object_in_several_threads():
    shared = mg.scope("layer")
    entered, second, left = (threading.Event() for _ in range(3))

    def work(i):
        tape = mg.Tape()
        x = tape.watch(1.0)
        with mg.scope(f"thread{i}"):
            if i:  # enters second, leaves second
                assert entered.wait(10)
            with shared:
                if i:
                    second.set()
                    assert left.wait(10)
                else:
                    entered.set()
                    assert second.wait(10)
                np.sin(x)
            left.set()
            np.cos(x)
        return [node.scope for node in tape.nodes[1:]]

    assert in_threads(work, 2) == [[f"thread{i}/layer", f"thread{i}"] for i in range(2)]


@pytest.mark.parametrize("order", [1, 2])
def test_an_error_in_one_thread_leaves_the_others_alone(order):
    def work(i):
        def f(x):
            if i % 2:
                raise RuntimeError(f"thread {i}")
            return x**3

        try:
            g = f
            for _ in range(order):
                g = mg.grad(g)
            return float(g(2.0))
        except RuntimeError as error:
            return str(error)

    for i, result in enumerate(in_threads(work)):
        assert result == (f"thread {i}" if i % 2 else [12.0, 12.0][order - 1])
