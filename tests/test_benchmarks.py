"""The benchmark measures what it says: systems agree, slices are judged rightly, the page is made of the results."""

import importlib
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import harness, page, specs, systems
from benchmarks.peers import numpy_by_hand, updates

WORKLOADS = list(specs.WORKLOADS)


def gradients(system, spec, workload):
    entry = systems.SYSTEMS[system]
    return importlib.import_module(entry.module).Runner(workload, spec, 1e-3, entry.variant).grads()


def assert_agrees(system, workload):
    spec = specs.first(specs.make(workload), 3)
    (loss, grads), (expected, expected_grads) = (gradients(name, spec, workload) for name in (system, "numpy"))
    assert loss == pytest.approx(expected, rel=1e-4)
    assert harness.disagreement(grads, expected_grads) < 1e-3  # a batch so small is normalised less exactly
    assert {g.dtype for g in grads.values()} == {np.dtype(np.float32)}


# --- what is computed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_numbers_of_a_workload_are_the_same_each_time(workload):
    spec, again = specs.make(workload), specs.make(workload)
    for name, w in spec["params"].items():
        assert w.dtype == np.float32 and np.array_equal(w, again["params"][name])
    assert np.array_equal(spec["x"], again["x"]) and np.array_equal(spec["y"], again["y"])


def test_a_workload_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="one of W1, .* and 'W9' came"):
        specs.make("W9")


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("system", ["minigrad-numpy", "minigrad-numpy-compiled"])
def test_minigrad_agrees_with_numpy_by_hand(system, workload):
    assert_agrees(system, workload)


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("system", ["torch", "autograd", "mygrad"])
def test_a_peer_agrees_with_numpy_by_hand(system, workload):
    pytest.importorskip(systems.SYSTEMS[system].needs, reason=f"needs {system}")
    assert_agrees(system, workload)


@pytest.mark.slow
@pytest.mark.parametrize("workload", WORKLOADS)
def test_jax_agrees_with_numpy_by_hand(workload, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    pytest.importorskip("jax", reason="needs jax")
    assert_agrees("jax", workload)


@pytest.mark.parametrize("workload", ["W1", "W3", "W6r", "W7"])
def test_numpy_by_hand_is_right_by_finite_differences(workload):
    spec = specs.first(specs.make(workload), 2)
    spec["params"] = {name: w.astype(np.float64) for name, w in spec["params"].items()}
    spec["x"] = spec["x"].astype(np.float64) if spec["x"].dtype.kind == "f" else spec["x"]
    run = numpy_by_hand.PASSES[workload]
    _, grads = run(spec["params"], spec["x"], spec["y"])
    rng = np.random.default_rng(0)
    direction = {name: rng.standard_normal(w.shape) for name, w in spec["params"].items()}

    def loss(t):
        return run({name: w + t * direction[name] for name, w in spec["params"].items()}, spec["x"], spec["y"])[0]

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    assert sum(np.sum(g * direction[name]) for name, g in grads.items()) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("rule, published", [("sgd", "sgd"), ("mom", "sgd_momentum"), ("adam", "adam")])
def test_updates_by_hand_are_the_published_rules(rule, published):
    from minigrad import optim

    rng = np.random.default_rng(0)
    w, config = rng.standard_normal((3, 4)), {"learning_rate": 0.1}
    params = {"w": w.copy()}
    update = updates.Update(rule, params, 0.1)
    for _ in range(4):
        g = rng.standard_normal((3, 4))
        w, config = optim.RULES[published](w, g, config)
        update({"w": g})
        np.testing.assert_allclose(params["w"], w, rtol=1e-6)


# --- how it is measured ----------------------------------------------------------------------------------------------


def test_disagreement():
    right = {"W": np.ones((2, 2), np.float32), "b": np.zeros(2, np.float32)}
    assert harness.disagreement(right, right) == 0
    assert harness.disagreement({**right, "W": right["W"] * 1.01}, right) == pytest.approx(0.01, rel=1e-5)
    assert harness.disagreement({**right, "b": right["b"] + 1e-6}, right) < 0.01  # against the largest of all
    assert harness.disagreement({"W": right["W"]}, right) == math.inf
    assert harness.disagreement({**right, "b": np.zeros(3, np.float32)}, right) == math.inf


def computed(gradient, loss=2.0, **more):
    """Return what computes the gradient of each seed in a list, or one for all."""

    def ask(seed):
        value = gradient[harness.SEEDS.index(seed)] if isinstance(gradient, list) else gradient
        return {"loss": loss, "trained": 1.0, "dtypes": ["float32"], **more}, {"w": np.array([value])}

    return ask


def test_who_agrees_on_some_data_agrees():
    assert "error" not in harness.agreement(computed(1.0), computed(1.0))
    assert "error" not in harness.agreement(computed([1.1, 1.2, 1.0, 1.0]), computed(1.0))


@pytest.mark.parametrize(
    "wrong, words",
    [
        (computed(1.1), "it disagrees: loss by 0.0e[+]00, gradients by 1.0e-01"),
        (computed(1.0, loss=2.1), "it disagrees: loss"),
        (computed(1.0, dtypes=["float64"]), "its gradients are float64, not float32"),
        (computed(1.0, trained=1.1), "after some updates its loss is 1.1, not 1.0"),
        (computed(1.0, error="it broke"), "it broke"),
    ],
)
def test_who_does_not_agree_is_not_timed(wrong, words):
    assert re.match(words, harness.agreement(wrong, computed(1.0))["error"])


def test_a_slow_system_need_not_train_and_has_one_turn():
    def ask(seed):
        return {"loss": 2.0, "dtypes": ["float32"]}, {"w": np.array([1.0])}

    entries = {"slow": harness.agreement(ask, computed(1.0)), "quick": {}}
    assert entries["slow"]["slow"]
    turns = harness.take_turns({name: lambda: {"foreign": 0.0, "batches": [1.0]} for name in entries}, entries, 3)
    assert {name: len(slices) for name, slices in turns.items()} == {"slow": 1, "quick": 3}


def test_a_disturbed_slice_is_taken_again():
    taken = iter([{"foreign": 0.5}, {"foreign": 0.2}, {"foreign": 0.3}, {"foreign": 0.0}])
    assert harness.quietest(lambda: next(taken), pause=0) == {"foreign": 0.2}
    assert harness.quietest(lambda: next(taken), pause=0) == {"foreign": 0.0}


def test_the_time_is_the_tenth_percentile():
    slices = [{"batches": [k / 1000 for k in range(11)], "foreign": 0.0}, {"batches": [], "foreign": 1.0}]
    assert harness.summary(slices) == {"ms": pytest.approx(1.0), "batches": 11, "disturbed": 1}
    assert harness.summary([{"error": "it broke"}]) == {"error": "it broke"}


def test_what_is_missing_or_dies_is_an_entry(monkeypatch):
    monkeypatch.setitem(systems.SYSTEMS, "absent", systems.System("Absent", "benchmarks.peers.absent", "no_such_thing"))
    assert harness.ask_once("memory", "absent", "W3") == {"error": "no_such_thing is not installed"}
    with harness.Worker("steps", "numpy", "W3") as worker:
        worker.process.kill()
        assert worker.ask("warm") == {"error": "its process ended by SIGKILL"}


def test_an_error_in_a_worker_is_an_entry():
    with harness.Worker("steps", "numpy", "W99") as worker:
        assert "a workload is one of" in worker.ask("warm")["error"]


# --- the command and the page ----------------------------------------------------------------------------------------


def bench(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=page.ROOT, capture_output=True, text=True)


def test_a_short_run_prints_a_table():
    ran = bench("--short", "--workloads", "W3", "--rounds", "1", "--seconds", "0.01")
    assert ran.returncode == 0, ran.stderr
    assert "| NumPy by hand, ms " in ran.stdout and "| minigrad compiled, without Numba " in ran.stdout
    assert "| PyTorch" not in ran.stdout


def test_names_that_there_are_not_are_refused():
    ran = bench("--workloads", "W3,W99")
    assert ran.returncode == 2 and "there are W1, W2" in ran.stderr and "W99 came" in ran.stderr


def results():
    return json.loads(page.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_what_the_generator_makes_of_the_results():
    assert page.PAGE.read_text(encoding="utf-8") == page.markdown(results()), "run python -m benchmarks.page"


def test_tables_tell_ratios_and_why_something_is_missing():
    found = {
        "steps": {
            "W1": {"numpy": {"ms": 2.0}, "minigrad-compiled": {"ms": 1.0}, "torch": {"ms": 4.0}},
            "W8": {
                "numpy": {"ms": 0.999},
                "minigrad-compiled": {"error": "it broke"},
                "jax": {"ms": 3.0, "slow": True},
            },
        }
    }
    text = page.tables(found)
    for line in (
        "| NumPy by hand, ms | 2.00 |  1.00 |",
        "| minigrad compiled | x0.50 |     - |",
        "| PyTorch | x2.00 |     - |",
        "| W1 |      PyTorch |   4.00 | x0.25 | - |",
        "- minigrad compiled, W8: it broke",
        "- JAX, jit, W8: a step takes so long that one alone was timed",
    ):
        assert " ".join(line.split()) in " ".join(text.split())
