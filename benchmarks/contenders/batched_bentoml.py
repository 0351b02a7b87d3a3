"""The model behind BentoML, as its documentation batches (docs.bentoml.com, adaptive batching)."""

from __future__ import annotations

import bentoml
from batched_model import predict


@bentoml.service(workers=1, traffic={"timeout": 60})
class Forest:
    """The model."""

    @bentoml.api(batchable=True, batch_dim=0, max_batch_size=32, max_latency_ms=10000)
    def predict(self, rows: list[list[float]]) -> list[bool]:
        """Ask the model for many rows."""
        return predict(rows)
