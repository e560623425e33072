"""sRNN-AE's parameter counts against the public code."""

import json

from cr_jax.models.srnn_ae.paper_count import autorec, hrnn, sentiment_heads


def test_the_public_code(shared):
    public = json.loads(shared("reference/counts.json").read_text())["sRNN_AE"]
    parts = public["sentiment_2048_parts"]
    assert hrnn() == parts["sentence_encoder"] + parts["conversation_encoder"]
    assert sentiment_heads() == parts["heads"]
    for items, hidden in ((11, 7), (11, 1000), (50, 1000), (6924, 1000), (9292, 1000)):
        assert autorec(items, hidden) == public["AutoRec"][f"movies{items}_hidden{hidden}"]
    table = public["sentiment_embedding300"]["without_embedding"]
    assert hrnn(vector=300) + sentiment_heads() == table
