"""Module, pass and family that the cost of an executed instruction belongs to: one attribution for counts and for times."""

from cr_jax.cost.attribution import NONE, Attribution, Scope
from cr_jax.cost.cost import Key, Owner
from cr_jax.cost.instruction_cost import InstructionCost
from cr_jax.cost.walk import Walk
from cr_jax.hlo.module import Instruction


class Booking:
    """Keys of the costs in a walked module. modules: as for ``count_hlo``."""

    def __init__(self, walk: Walk, modules: tuple[str, ...] = ()) -> None:
        self._names, self._roots, self._attribution = walk.names, walk.roots, Attribution(modules)
        self._keys: dict[tuple[str, str], Key] = {}

    def owner(self, op_name: str) -> Owner:
        """The module and pass of a full name."""
        return self._attribution.of(op_name)

    def key(self, op_name: str, family: str, scope: Scope) -> Key:
        """The key of an operation by its own name, in a computation of ``scope``."""
        if scope.shared or not self._roots or not op_name.startswith(self._roots):
            return (*self.owner(scope.full(op_name)), family)
        key = self._keys.get((op_name, family))  # a full name, the same everywhere
        if key is None:
            key = self._keys[op_name, family] = (*self.owner(op_name), family)
        return key

    def plain(self, instruction: Instruction, family: str, matmul_flops: int, scope: Scope) -> Key:
        """The key of an instruction that is no fusion. A copy ahead of its use belongs to its source, else to what reads it."""
        key = self.key(self._names.name(instruction, matmul_flops), family, scope)
        if key[0] == NONE and (reader := self._names.reader(instruction)):
            return self.key(reader, family, scope)
        return key

    def fusion(self, fusion: Instruction, cost: InstructionCost, scope: Scope) -> tuple[Key, Scope]:
        """The key of a fusion's traffic, and the scope of the operations inside, each of which has a key of its own."""
        assert cost.fused is not None
        own, rows = self._names.name(fusion), cost.fused.rows
        inside = scope.fusion(own, (name for name, _, _ in rows))
        if not own:  # named by its computation
            own = next((name for name, _, _ in reversed(rows) if name), "")
        return self.key(own, cost.family, scope), inside
