"""Tracing, lowering and compiling of steps for a target, into ``CompiledStep``."""
