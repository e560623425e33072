"""A tiny sRNN-AE, a workload and a data set."""

import dataclasses

from cr_jax.models.srnn_ae.model import Config
from cr_jax.records import Lengths, TextLengths, Workload

SMALL = Config(
    items=7,
    words=13,
    gensen_embedding=3,
    gensen_hidden=2,
    embedding=3,
    sentence_hidden=3,
    conversation_hidden=4,
    autorec_layers="5",
    mentions=3,
    decoder_hidden=4,
    response_words=3,
)


def workload(turns=4, **changes):
    def about(mean):
        return Lengths(mean=mean, p50=int(mean), p95=int(2 * mean), max=int(4 * mean))

    lengths = TextLengths(about(5.0), about(1.5), about(2.0), about(40.0), about(4.0))
    return Workload(turns=turns, lengths=lengths, turn_histogram=(3, 2, 0, 1, 2), **changes)


@dataclasses.dataclass(frozen=True)
class Data:
    items: int = 31
    words: int = 17
    conversations: int = 20
    users: int = 11
