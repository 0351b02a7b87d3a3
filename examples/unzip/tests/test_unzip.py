"""The function that moved from a built-in runtime, under the local Function Compute, beside an OSS
on loopback: as it was, and as it is now.
"""

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import yaml

from service.advice.finding import WILL_BREAK
from service.advice.reading import findings
from service.emulator.testing import emulator
from service.events.sample import sample
from tests.cloud import cloud

FOLDER = Path(__file__).parents[1]


def spec(folder: Path, endpoint: str, **props: Any) -> dict[str, Any]:
    """The deployment as it is, with an OSS of the test's."""
    found: dict[str, Any] = yaml.safe_load((folder / "s.yaml").read_text())
    found["resources"]["unzip"]["props"] |= props
    found["resources"]["unzip"]["props"]["environmentVariables"]["OSS_ENDPOINT"] = endpoint
    return found


def archive(number: int) -> bytes:
    """An archive of two files that are its own."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as written:
        written.writestr(f"{number}/a.txt", f"a of {number}")
        written.writestr(f"{number}/b.txt", f"b of {number}")
    return data.getvalue()


def upload(number: int) -> bytes:
    """The event of an upload."""
    key = f"incoming/{number}.zip"
    return sample("oss.put", {"events.0.oss.object.key": key, "events.0.oss.bucket.name": "shop"})


async def test_archives_at_once_are_unpacked_each_by_itself() -> None:
    """Twelve calls at once put each file where it belongs."""
    async with cloud() as oss, emulator(spec(FOLDER, oss.url), code=FOLDER / "code") as fc:
        oss.objects |= {f"/shop/incoming/{number}.zip": archive(number) for number in range(12)}
        calls = (fc.invoke("unzip", upload(number)) for number in range(12))
        answers = [json.loads(answer.body) for answer in await asyncio.gather(*calls)]
        assert answers == [[f"unpacked/{n}/a.txt", f"unpacked/{n}/b.txt"] for n in range(12)]
        for number in range(12):
            assert oss.objects[f"/shop/unpacked/{number}/b.txt"] == f"b of {number}".encode()


async def test_the_old_function_runs_unchanged_one_call_at_a_time() -> None:
    """As on the built-in runtime, by its own `s.yaml`."""
    folder = FOLDER / "before"
    async with cloud() as oss, emulator(spec(folder, oss.url), code=folder / "code") as fc:
        oss.objects["/shop/incoming/7.zip"] = archive(7)
        answer = await fc.invoke("unzip", upload(7))
        assert json.loads(answer.body) == ["unpacked/7/a.txt", "unpacked/7/b.txt"]
        assert oss.objects["/shop/unpacked/7/a.txt"] == b"a of 7"


def test_what_breaks_with_many_calls_is_found_in_the_old_one_and_mended() -> None:
    """The page shows what is told of the old function; of the new one nothing is."""
    old, new = (
        {finding.line for finding in findings(folder) if finding.level == WILL_BREAK}
        for folder in (FOLDER / "before" / "code", FOLDER / "code")
    )
    assert len(old) == 4
    assert new == set()
