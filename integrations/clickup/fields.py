"""Custom fields of a task, by name and readable. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from integrations.clickup.values import iso, items, part, text

Options = Sequence[Mapping[str, Any]]


def custom_fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The set fields of a task by name.

    A drop-down reads back as its option's index or id and labels as ids (observed): both become names.
    """
    found: dict[str, Any] = {}
    for field in items(raw.get("custom_fields")):
        name, value = text(field.get("name")), field.get("value")
        if name is None or value in (None, "", [], {}):
            continue
        translate = _TRANSLATED.get(str(field.get("type")))
        options = items(part(field.get("type_config")).get("options"))
        found[name] = translate(value, options) if translate else value
    return found


def _option(value: object, options: Options) -> object:
    for option in options:
        if value in (option.get("id"), option.get("orderindex")):
            return text(option.get("name")) or text(option.get("label")) or value
    return value


def _labels(value: object, options: Options) -> object:
    return [_option(item, options) for item in value] if isinstance(value, list) else value


_TRANSLATED: Final[Mapping[str, Callable[[object, Options], object]]] = {
    "drop_down": _option,
    "labels": _labels,
    "date": lambda value, _options: iso(value) or value,
}
