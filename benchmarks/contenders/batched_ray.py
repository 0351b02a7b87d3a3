"""The model behind Ray Serve, as its documentation batches (docs.ray.io, dynamic batching)."""

from __future__ import annotations

import os

import ray
from batched_model import predict
from ray import serve


@serve.deployment(max_ongoing_requests=512, ray_actor_options={"num_cpus": 0})
class Forest:
    """The model."""

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def many(self, rows: list[list[float]]) -> list[bool]:
        """Ask the model for many rows."""
        return predict(rows)

    async def __call__(self, request):
        """Answer one of them."""
        return await self.many(await request.json())


ray.init(num_cpus=1, include_dashboard=False, object_store_memory=100 * 1024 * 1024)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])})
serve.run(Forest.bind(), blocking=True)
