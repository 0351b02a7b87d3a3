"""The sample of a change feed, under the local Function Compute."""

import json
from pathlib import Path
from typing import Any

import cbor2

from service.emulator.testing import emulator
from service.events.sample import sample

FOLDER = Path(__file__).parents[1]


def change(kind: str, number: int, **columns: Any) -> dict[str, Any]:
    """A change of a row, as Tablestore tells it."""
    keys = (("tenant", "north"), ("order_id", number))
    return {
        "Type": kind,
        "Info": {"Timestamp": 1773219001123456},
        "PrimaryKey": [{"ColumnName": name, "Value": value} for name, value in keys],
        "Columns": [
            {"Type": "Put", "ColumnName": name, "Value": value, "Timestamp": 1773219001123}
            for name, value in columns.items()
        ],
    }


def test_the_changes_of_a_row_are_followed_in_their_order() -> None:
    """The trigger's own sample, several changes of a row, and a record that is none."""
    records = [
        change("PutRow", 1, amount=100.0),
        change("UpdateRow", 1, amount=80.0),
        change("PutRow", 2, amount=7.5),
        change("DeleteRow", 2),
    ]
    event = cbor2.dumps({"Version": "Sync-v1", "Records": records})
    bad = cbor2.dumps({"Version": "Sync-v1", "Records": [{"Type": "PutRow"}, *records[:1]]})
    with emulator(FOLDER / "s.yaml", code=FOLDER) as fc:
        answer = fc.invoke("tablestore-feed", event, tail=True)
        assert json.loads(answer.body)["ok"] == 4
        assert b"DeleteRow: north has ordered for 80.00" in answer.log
        assert json.loads(fc.invoke("tablestore-feed", sample("tablestore")).body)["failed"] == 0
        failed = json.loads(fc.invoke("tablestore-feed", bad).body)
        assert failed["errorType"] == "RecordsFailed"
        assert failed["errorMessage"].startswith("1 of 2 records failed: $[0]: InvalidEvent: ")
