"""The systems that minigrad is compared with. Each module has a ``Runner(workload, spec, learning_rate, variant)``:

- ``grads()`` returns the loss and the gradients as arrays, under the names of ``spec["params"]``;
- ``step()`` makes a training step: forward, loss, backward, update. It may return before the work is done;
- ``sync(result)`` waits for what ``step`` returned, and gives the loss.

They are written plainly, the way somebody who knows the library well would write these networks in it.
"""
