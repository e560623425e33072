"""The time of a program on a calibrated CPU."""
