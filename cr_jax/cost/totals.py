"""Total cost of a run, and the branch of a conditional that it chooses."""

from cr_jax.cost.cost import Cost
from cr_jax.cost.walk import Branching, Called, Entry, Executed, Repeated, Run


class Totals:
    """The highest or lowest totals of runs; each run is added up once.

    cheapest: loops end as early as they may, and a conditional has the smallest of its branches, figure by figure; otherwise
    loops end late and the largest counts. declared: whether costs that calls declare are part of the totals.
    """

    def __init__(self, cheapest: bool = False, declared: bool = True) -> None:
        self.cheapest, self._declared = cheapest, declared
        self._known: dict[int, Cost] = {}
        self._varies = False

    def of(self, run: Run) -> Cost:
        """One run's total. Not to be changed by the caller."""
        known = self._known.get(id(run))
        if known is None:
            known = self._known[id(run)] = self._add_up(run)
        return known

    def vary(self, run: Run) -> bool:
        """Whether some runs cost less than others, by branches, early ends of loops or masks of attention."""
        self.of(run)
        return self._varies

    def turns(self, loop: Repeated) -> int:
        """Iterations of the loop's body."""
        return loop.count.least if self.cheapest else loop.count.most

    def branches(self, switch: Branching) -> list[Cost]:
        """The total of each branch."""
        return [self.of(branch) for branch in switch.branches]

    def chosen(self, switch: Branching) -> int:
        """The number of the branch with the most operations, or the fewest; then by bytes, then the first."""
        totals = self.branches(switch)
        choose = min if self.cheapest else max
        return choose(range(len(totals)), key=lambda n: (totals[n].operations, totals[n].hbm_bytes))

    def of_entry(self, entry: Entry) -> Cost:
        """The total of one execution of an entry. Not to be changed by the caller."""
        if isinstance(entry, Executed):
            cost = entry.cost
            if cost.declared is not None and self._declared:
                self._varies = self._varies or cost.declared.extra.matmul_flops > 0  # of attention with a mask
                return cost.total + cost.declared.extra
            return cost.total
        if isinstance(entry, Repeated):
            self._varies = self._varies or entry.count.least < entry.count.most
            turns = self.turns(entry)
            return Cost().add(self.of(entry.body), turns).add(self.of(entry.condition), turns + 1)
        if isinstance(entry, Called):
            return Cost().add(self.of(entry.run), entry.devices)
        totals = self.branches(entry)
        self._varies = self._varies or len({(one.operations, one.hbm_bytes) for one in totals}) > 1
        return Cost.smallest(totals) if self.cheapest else Cost.largest(totals)

    def _add_up(self, run: Run) -> Cost:
        total = Cost()
        for entry in run.entries:
            total.add(self.of_entry(entry))
        return total
