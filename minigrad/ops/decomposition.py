"""np.linalg: inverses, solutions, norms and decompositions."""
