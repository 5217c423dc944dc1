"""Which shard a study belongs to: a pure function of its id, so that adding studies never moves old ones."""

import hashlib


def shard_of(study_id: str, shards: int) -> int:
    """The number of the study's shard, 0 to `shards` - 1."""
    return int.from_bytes(hashlib.sha256(study_id.encode()).digest()[:8], "big") % shards
