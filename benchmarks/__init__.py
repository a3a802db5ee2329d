"""Speed and memory, side by side with peers. `scripts/bench` runs it all and writes docs/benchmarks.md.

=================  =================================================================================================
specs              the workloads' shapes and data: the same numbers for every system
workloads          the workloads as minigrad models
sys_minigrad       minigrad as a system: ``Runner(workload, spec, learning_rate, variant)``
peers/             the other systems, each a module with such a Runner; `networks` says their networks once for all
systems            the table of systems: where each Runner is, and what its process needs
worker             what runs in a system's own process
harness            starts the workers, checks that they agree, times them in turns; memory, graph size, imports
page               the results as tables, and docs/benchmarks.md
overhead           recording alone, per op, quickly (a script of its own)
peers_pictures     how much the pictures of other packages hold (a script of its own)
=================  =================================================================================================
"""
