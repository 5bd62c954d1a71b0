"""Known fires around clock changes and for cron lines: every vector holds to the second."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from tgscheduler import triggers

FOLDER = Path(__file__).parent.parent / "vectors"
VECTORS = [
    (name, vector)
    for name in ("clock_changes", "cron")
    for vector in json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
]


def posix(text):
    return datetime.fromisoformat(text).timestamp()


def trigger_of(vector, day_and=False):
    spec, zone = vector["spec"], vector["zone"]
    match vector["kind"]:
        case "interval":
            return triggers.Interval(spec["interval"], anchor=posix(spec["anchor_utc"]))
        case "weekday":
            return triggers.Weekdays(spec["weekdays"], tuple(spec["timeonday"]), zone)
        case "monthday":
            return triggers.Monthdays(spec["monthdays"], tuple(spec["timeonday"]), zone)
        case "cron":
            return triggers.Cron(spec, zone, day_and=day_and)


def chain(trigger, after, expected):
    moments = []
    for _ in expected:
        after = trigger.next_after(after)
        moments.append(after)
    return moments


@pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=f"{name}-{vector['id']}-{vector['kind']}") for name, vector in VECTORS]
)
def test_the_next_fires_are_the_known_ones(vector):
    expected = [posix(text) for text in vector["expected_utc"]]
    assert chain(trigger_of(vector), posix(vector["after_utc"]), expected) == expected


@pytest.mark.parametrize(
    "vector",
    [pytest.param(vector, id=f"{name}-{vector['id']}") for name, vector in VECTORS if vector["kind"] == "cron"],
)
def test_with_day_and_both_day_fields_must_match(vector):
    expected = [posix(text) for text in vector.get("expected_utc_and", vector["expected_utc"])]
    assert chain(trigger_of(vector, day_and=True), posix(vector["after_utc"]), expected) == expected


def test_no_vector_is_left_out():
    assert len(VECTORS) >= 217
    assert {vector["kind"] for _, vector in VECTORS} == {"interval", "weekday", "monthday", "cron"}
    assert sum("expected_utc_and" in vector for _, vector in VECTORS) >= 18
