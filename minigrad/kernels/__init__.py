"""Fast array code without any autograd in it: arrays in, arrays out. It imports nothing of minigrad."""
