"""What runs on a device that is attached: clock, memory, power, inputs, benchmarks."""
