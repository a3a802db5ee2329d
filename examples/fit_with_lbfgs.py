"""Fit a spectrum of overlapping peaks with SciPy's L-BFGS-B, on gradients from minigrad.

A detector has counted events in 300 channels: four peaks, two of which overlap, on a falling background. The counts
are Poisson numbers drawn from known parameters, so the fit can be compared with the truth. What is minimised is the
negative log of their likelihood, `sum(rate - counts * log(rate))`, a function of 14 parameters written in plain NumPy.
SciPy asks for its value and its gradient, which is what `mg.value_and_grad` returns. The same function's Hessian gives
the errors of the fit: its inverse is the covariance of the parameters (the observed information; Fisher, 1925).

    pip install . scipy matplotlib      # matplotlib for the picture only
    python examples/fit_with_lbfgs.py
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg

ENERGY = np.linspace(0.0, 10.0, 300)

TRUTH = np.array(
    [  # height (counts), centre, width
        [260.0, 2.00, 0.22],
        [420.0, 4.60, 0.30],
        [240.0, 5.35, 0.28],
        [130.0, 7.80, 0.45],
    ]
)
BACKGROUND = np.array([60.0, 0.25])  # counts at energy 0, decay per unit of energy


def pack(peaks: Any, background: Any) -> Any:
    """Put all parameters into one vector: logarithms of what must be positive, the centres as they are."""
    heights, centres, widths = peaks.T
    return np.concatenate([np.log(heights), centres, np.log(widths), np.log(background)])


def unpack(x: Any) -> tuple[Any, Any]:
    """Return the peaks (4, 3) and the background (2,) that a vector stands for."""
    log_heights, centres, log_widths = np.reshape(x[:-2], (3, -1))
    return np.stack([np.exp(log_heights), centres, np.exp(log_widths)], axis=1), np.exp(x[-2:])


def rates(x: Any) -> tuple[Any, Any]:
    """Return what is expected in each channel: from each peak (4, 300), and from the background (300,)."""
    peaks, background = unpack(x)
    height, centre, width = (peaks[:, i : i + 1] for i in range(3))
    return height * np.exp(-0.5 * ((ENERGY - centre) / width) ** 2), background[0] * np.exp(-background[1] * ENERGY)


def misfit(x: Any, counts: Any) -> Any:
    """Negative log-likelihood of Poisson counts, without the terms that do not depend on x."""
    from_peaks, from_background = rates(x)
    rate = np.sum(from_peaks, axis=0) + from_background
    return np.sum(rate - counts * np.log(rate))


def main(out: str | Path = "out") -> dict[str, Any]:
    """Fit, print the result beside the truth, and draw it."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise SystemExit("this example needs SciPy, which minigrad itself does not: pip install scipy") from None

    truth = pack(TRUTH, BACKGROUND)
    counts = np.random.default_rng(1).poisson(sum(np.sum(np.atleast_2d(part), axis=0) for part in rates(truth)))
    # A rough guess, as one would read it off the picture.
    guess = pack(np.array([[200.0, 1.8, 0.3], [350.0, 4.4, 0.3], [200.0, 5.6, 0.3], [100.0, 7.5, 0.3]]), np.ones(2))

    options = {"maxiter": 2000, "maxfun": 100_000, "ftol": 1e-13, "gtol": 1e-3}
    start = time.perf_counter()
    fit = minimize(mg.value_and_grad(misfit), guess, args=(counts,), jac=True, method="L-BFGS-B", options=options)
    seconds = time.perf_counter() - start
    by_differences = minimize(misfit, guess, args=(counts,), method="L-BFGS-B", options=options)

    covariance = np.linalg.inv(mg.hessian(misfit)(fit.x, counts))
    errors = np.sqrt(np.diag(covariance))
    pulls = (fit.x - truth) / errors
    peaks, background = unpack(fit.x)
    # The vector holds logarithms: an error there is a relative one.
    peak_errors = np.reshape(errors[:-2], (3, -1)).T * np.where([True, False, True], peaks, 1.0)

    print("peak        height              centre               width")
    for number, (found, error, true) in enumerate(zip(peaks, peak_errors, TRUTH), start=1):
        (h, c, w), (dh, dc, dw) = found, error
        print(f"{number}  fit   {h:6.1f} ± {dh:4.1f}     {c:6.3f} ± {dc:5.3f}      {w:5.3f} ± {dw:5.3f}")
        print(f"   truth {true[0]:6.1f}            {true[1]:6.3f}              {true[2]:5.3f}")
    print(
        f"background: {background[0]:.1f} exp(-{background[1]:.3f} E)"
        f"; truth: {BACKGROUND[0]:.1f} exp(-{BACKGROUND[1]:.3f} E)"
    )
    print(f"distance from the truth, in standard errors: {np.sqrt(np.mean(pulls**2)):.2f} rms, 1 expected")
    print(f"evaluations with gradients: {fit.nfev} in {seconds:.2f} s; by finite differences: {by_differences.nfev}")
    print(f"misfit there and here: {by_differences.fun - fit.fun:+.1e}")

    picture = Path(out) / "fit_with_lbfgs.png"
    if draw(picture, fit.x, counts):
        print(f"picture: {picture}")
    return {"fit": fit, "pulls": pulls, "by_differences": by_differences}


def draw(path: Path, x: Any, counts: Any) -> bool:
    """Write a picture of the fit; return whether Matplotlib is there to do it."""
    try:
        from matplotlib.figure import Figure  # without pyplot, so that no display is needed
    except ImportError:
        print("no picture: pip install matplotlib")
        return False
    from_peaks, background = rates(x)
    rate = from_peaks.sum(axis=0) + background
    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[4, 1])
    colours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # told apart by colour-blind readers too (Okabe and Ito)
    upper.scatter(ENERGY, counts, s=9, color="0.45", linewidths=0, label="counts", zorder=3)
    upper.plot(ENERGY, rate, color="black", linewidth=1.3, label="fit", zorder=4)
    for number, (peak, colour) in enumerate(zip(from_peaks, colours), start=1):
        upper.fill_between(ENERGY, background, background + peak, color=colour, alpha=0.35, linewidth=0)
        centre = TRUTH[number - 1, 1]
        top = np.interp(centre, ENERGY, rate) + 40
        upper.vlines(centre, 0, top, color=colour, linestyle=(0, (4, 3)), linewidth=1)
        upper.text(centre, top + 5, f"{number}", color=colour, ha="center", fontweight="bold")
    upper.plot(ENERGY, background, color="0.3", linewidth=1, linestyle=":", label="background of the fit")
    upper.plot([], [], color="0.3", linestyle=(0, (4, 3)), linewidth=1, label="true centres")
    upper.set(ylabel="counts per channel", ylim=(0, 1.2 * counts.max()), title="Four peaks, fitted with L-BFGS-B")
    upper.legend(frameon=False, loc="upper right")
    lower.axhspan(-2, 2, color="0.92")
    lower.axhline(0, color="black", linewidth=0.8)
    lower.scatter(ENERGY, (counts - rate) / np.sqrt(rate), s=7, color="0.35", linewidths=0)
    lower.set(
        xlabel="energy", ylabel="residual / σ", xlim=(ENERGY[0], ENERGY[-1]), ylim=(-4.5, 4.5), yticks=(-4, -2, 0, 2, 4)
    )
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return True


if __name__ == "__main__":
    main()
