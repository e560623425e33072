"""The executed operations of a program, with the features that decide their time."""
