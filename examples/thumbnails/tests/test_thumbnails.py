"""The sample of thumbnails, under the local Function Compute and beside an OSS on loopback."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.emulator.testing import emulator
from service.events.sample import sample
from tests.cloud import cloud

Image = pytest.importorskip("PIL.Image", reason="Pillow has no release for this Python")

FOLDER = Path(__file__).parents[1]


def spec(endpoint: str) -> dict[str, Any]:
    """The deployment as it is, with an OSS of the test's."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / "s.yaml").read_text())
    found["resources"]["thumbnails"]["props"]["environmentVariables"]["OSS_ENDPOINT"] = endpoint
    return found


def picture(width: int, height: int) -> bytes:
    """A picture with a transparent background, as an upload."""
    data = io.BytesIO()
    Image.new("RGBA", (width, height), (200, 30, 30, 128)).save(data, "PNG")
    return data.getvalue()


def upload(key: str) -> bytes:
    """The event of an upload."""
    return sample("oss.put", {"events.0.oss.object.key": key, "events.0.oss.bucket.name": "shop"})


async def test_uploads_at_once_get_their_thumbnails() -> None:
    """Twelve calls at once share one client; each request is signed with credentials of a call.
    A picture that is none fails its own call, and a thumbnail's upload ends there.
    """
    async with cloud() as oss, emulator(spec(oss.url), code=FOLDER) as fc:
        for number in range(12):
            oss.objects[f"/shop/incoming/{number}.png"] = picture(800, 100 + number)
        oss.objects["/shop/incoming/bad.png"] = b"no picture"
        calls = (fc.invoke("thumbnails", upload(f"incoming/{number}.png")) for number in range(12))
        answers = [json.loads(answer.body) for answer in await asyncio.gather(*calls)]
        assert answers == [[f"thumbnails/incoming/{number}.jpg"] for number in range(12)]
        with Image.open(io.BytesIO(oss.objects["/shop/thumbnails/incoming/0.jpg"])) as small:
            assert (small.format, small.size) == ("JPEG", (256, 32))
        assert len(oss.asked) == 24
        assert all(each.key for each in oss.asked)
        assert len({each.port for each in oss.asked}) <= 12

        bad = await fc.invoke("thumbnails", upload("incoming/bad.png"))
        assert json.loads(bad.body)["errorType"] == "UnidentifiedImageError"
        gone = await fc.invoke("thumbnails", upload("incoming/gone.png"))
        assert "NoSuchKey" in json.loads(gone.body)["errorMessage"]
        own = await fc.invoke("thumbnails", upload("thumbnails/incoming/0.jpg"))
        assert json.loads(own.body) == []
