"""Measurements on an attached device: clock, memory, power, inputs, benchmarks."""
