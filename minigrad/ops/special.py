"""SciPy's special functions, where SciPy is installed."""
