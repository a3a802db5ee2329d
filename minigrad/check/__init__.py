"""Checking: are the gradients right, and if not, what is wrong with them; what of NumPy is covered."""
