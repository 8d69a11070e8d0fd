"""ClickUp's values and custom fields, read tolerantly: what cannot be read is None or as it came, never an error."""

from __future__ import annotations

from typing import Any

import pytest

from integrations.clickup import mapping
from integrations.clickup.fields import custom_fields
from integrations.clickup.values import iso, items, number, text

USER = {"id": 48213377, "username": "Nadia Okafor"}
DROP_DOWN = [{"id": "a7b1", "name": "On-call", "orderindex": 0}, {"id": "b8c2", "name": "Everybody", "orderindex": 1}]
LABELS = [{"id": "c9d3", "label": "security"}, {"id": "d0e4", "label": "broker"}]


@pytest.mark.parametrize(
    ("kind", "options", "value", "shown"),
    [
        ("drop_down", DROP_DOWN, 0, "On-call"),
        ("drop_down", DROP_DOWN, 1, "Everybody"),
        ("drop_down", DROP_DOWN, "b8c2", "Everybody"),
        ("drop_down", DROP_DOWN, 7, 7),
        ("drop_down", [], 0, 0),
        ("drop_down", None, "b8c2", "b8c2"),
        ("labels", LABELS, ["d0e4", "c9d3", "gone"], ["broker", "security", "gone"]),
        ("labels", LABELS, "d0e4", "d0e4"),
        ("date", None, "1774512000000", "2026-03-26T08:00:00Z"),
        ("date", None, "soon", "soon"),
        ("number", None, "12.50", "12.50"),
        ("number", None, 0, 0),
        ("checkbox", None, False, False),
        ("users", None, [USER], [USER]),
        (None, None, {"percent_complete": 5}, {"percent_complete": 5}),
    ],
)
def test_custom_fields(kind: object, options: object, value: object, shown: object) -> None:
    """A custom field shows by its name and readable: a drop-down's index or id and labels' ids become names."""
    field = {"id": "2c9f", "name": "Audience", "type": kind, "type_config": {"options": options}, "value": value}
    assert custom_fields({"custom_fields": [field]}) == {"Audience": shown}
    assert mapping.task({"id": "1", "custom_fields": [field]}).properties == {"custom_fields": {"Audience": shown}}


@pytest.mark.parametrize("unset", [{}, {"value": None}, {"value": ""}, {"value": []}, {"value": 1, "name": None}])
def test_unset_custom_fields(unset: dict[str, Any]) -> None:
    """A field that is not set, or has no name, does not show."""
    assert custom_fields({"custom_fields": [{"id": "2c9f", "name": "Audience"} | unset, None, 3]}) == {}
    assert mapping.task({"id": "1", "custom_fields": [unset, None]}).properties == {}


@pytest.mark.parametrize(
    ("value", "as_text", "as_number", "as_date"),
    [
        (None, None, None, None),
        (True, None, None, None),
        (0, "0", 0, "1970-01-01T00:00:00Z"),
        ("0", "0", 0, "1970-01-01T00:00:00Z"),
        ("1774512000000", "1774512000000", 1774512000000, "2026-03-26T08:00:00Z"),
        (1774512000000.0, "1774512000000.0", 1774512000000, "2026-03-26T08:00:00Z"),
        ("253402300799999", "253402300799999", 253402300799999, "9999-12-31T23:59:59.999000Z"),
        (253402300800000, "253402300800000", 253402300800000, None),
        (-1, "-1", -1, None),
        ("", None, None, None),
        ("soon", "soon", None, None),
        ("inf", "inf", None, None),
        (float("nan"), None, None, None),
        ([1], None, None, None),
        ({}, None, None, None),
        ("\x00", None, None, None),
        ("a\x00b\ud83d", "ab?", None, None),
    ],
)
def test_values(value: object, as_text: str | None, as_number: int | None, as_date: str | None) -> None:
    """A value reads as text, number and date where it is one, and as None where it is not."""
    assert (text(value), number(value), iso(value)) == (as_text, as_number, as_date)
    assert items([value, {"a": 1}]) == ([{}, {"a": 1}] if value == {} else [{"a": 1}])
