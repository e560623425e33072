"""From a step to a ``CompiledStep``: tracing, lowering and compiling for a target."""
