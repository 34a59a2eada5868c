"""Layer B of the faults: long and heavy, run by `make soak`, told in docs/RELIABILITY.md."""
