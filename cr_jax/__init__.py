"""What training and serving a conversational recommender costs, counted from the compiled program."""

__version__ = "0.1.0"

from cr_jax.cost.counting.count import count_hlo
from cr_jax.cost.counting.hlo_count import HloCount
from cr_jax.errors import CrJaxError
from cr_jax.pipeline import profile

__all__ = ["CrJaxError", "HloCount", "__version__", "count_hlo", "profile"]
