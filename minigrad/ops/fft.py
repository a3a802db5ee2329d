"""Discrete Fourier transforms: np.fft."""
