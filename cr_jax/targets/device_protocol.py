"""A device of JAX's, whose class comes without types."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable


@runtime_checkable
class Device(Protocol):
    """An attached device, or one of a topology to compile for."""

    @property
    def platform(self) -> str:
        """JAX's name of the platform: cpu, gpu or tpu."""
        ...

    @property
    def device_kind(self) -> str:
        """The driver's title of the device."""
        ...

    @property
    def client(self) -> object:
        """The client of the runtime that the device belongs to."""
        ...

    def memory_stats(self) -> Mapping[str, int] | None:
        """Statistics of its memory in bytes; ``None``: it has none."""
        ...
