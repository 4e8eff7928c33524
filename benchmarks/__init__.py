"""Benchmarks: every figure is a ratio to a peer that runs beside it, in the same run on the same machine."""
