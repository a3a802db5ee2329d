"""Along a sequence: cumulative sums, differences, interpolation, convolution, polynomials."""
