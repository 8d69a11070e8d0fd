"""The contract for subscribers as values: its documents, their references followed, and what a change of it breaks.

Promise of `breaks`: it names what a subscriber who reads by the older schema would miss in the newer one. What is new
does not break one, since the contract tells to ignore what one does not know.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import yaml
from jsonschema import Draft202012Validator, FormatChecker

ROOT: Final = Path(__file__).parents[2]
CURRENT: Final = ROOT / "schema"
RELEASED: Final = sorted((CURRENT / "compatibility").iterdir())
SENT: Final = "import.requested payload"
"""What subscribers not only read but write."""
ANYTHING: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
FORMATS: Final = FormatChecker(formats=())
FORMATS.checks("uuid", ValueError)(lambda text: not isinstance(text, str) or str(UUID(text)) == text)
FORMATS.checks("date-time", ValueError)(
    lambda text: not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None
)


@dataclass(frozen=True)
class Contract:
    """The contract in a folder: `asyncapi.yaml`, and its schemas in `events/`."""

    folder: Path

    @functools.cached_property
    def document(self) -> Any:
        """The AsyncAPI document with references followed and traits applied."""
        return _followed(_read(path := self.folder / "asyncapi.yaml"), path)

    def channel(self, routing_key: str) -> Any:
        """The one channel that a routing key belongs to."""
        channels = self.document["channels"].values()
        (found,) = (channel for channel in channels if _address(channel).fullmatch(routing_key))
        return found

    def message(self, routing_key: str) -> Any:
        """The message that comes with a routing key: the one named so, else the channel's first."""
        messages = self.channel(routing_key)["messages"].values()
        type_ = routing_key.rpartition(".")[0]
        return next((one for one in messages if one["name"] == type_), next(iter(messages)))

    @functools.cached_property
    def names(self) -> set[str]:
        """Channels, the values of their parameters and their messages: what a subscriber may have named."""
        found = set()
        for name, channel in self.document["channels"].items():
            found |= {f"{name} {channel['address']}", *(f"{name} message {one}" for one in channel["messages"])}
            for parameter, one in channel["parameters"].items():
                found |= {f"{name} {parameter} {value}" for value in one.get("enum", ())}
        return found

    @functools.cached_property
    def schemas(self) -> Mapping[str, Any]:
        """Every schema by its place, references followed and `allOf` written out."""
        channels = self.document["channels"].values()
        messages = {one["name"]: one for channel in channels for one in channel["messages"].values()}
        return {f"{name} {part}": _flat(one[part]) for name, one in messages.items() for part in ("headers", "payload")}


def problems(schema: Any, value: Any) -> list[str]:
    """What does not fit, in one line each."""
    found = Draft202012Validator(schema, format_checker=FORMATS).iter_errors(value)
    return [f"{one.json_path}: {one.message}" for one in found]


def incompatible(old: Contract, new: Contract) -> list[str]:
    """What breaks subscribers of the older contract."""
    found = [f"{name} is gone" for name in sorted(old.names - new.names)]
    for place, schema in old.schemas.items():
        if place in new.schemas:  # else its message is gone, and named above
            found += breaks(schema, new.schemas[place], place, sent=place == SENT)
    return found


def breaks(old: Any, new: Any, at: str, *, sent: bool = False) -> Iterator[str]:
    """What of the older schema does not hold in the newer one; `sent`: subscribers also write by it."""
    yield from _missing(old, new, at, sent=sent)
    before, after = _types(old), _types(new)
    if not after <= before or (sent and before != after):
        yield f"{at} has another type"
    if gone := set(old.get("enum", ())) - set(new.get("enum", old.get("enum", ()))):
        yield f"{at} has no {', '.join(sorted(gone))} any more"
    for word in ("const", "format", "pattern", "minimum"):
        if word in old and old[word] != new.get(word):
            yield f"{at} has another {word}"
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), dict):
            yield from breaks(old[word], new[word] if isinstance(new.get(word), dict) else {}, f"{at}[]", sent=sent)


def _missing(old: Any, new: Any, at: str, *, sent: bool) -> Iterator[str]:
    before, after = set(old.get("required", ())), set(new.get("required", ()))
    for name in sorted(before - after):
        yield f"{at}.{name} is not required any more"
    for name in sorted(after - before) if sent else ():
        yield f"{at}.{name} is required now"
    properties = new.get("properties", {})
    for name, one in old.get("properties", {}).items():
        if name in properties:
            yield from breaks(one, properties[name], f"{at}.{name}", sent=sent)
        else:
            yield f"{at}.{name} is gone"


def _types(schema: Any) -> set[str]:
    found = schema.get("type", ANYTHING)
    return {found} if isinstance(found, str) else set(found)


def _flat(value: Any) -> Any:
    """A schema with what it consists of written out."""
    if isinstance(value, list):
        return [_flat(one) for one in value]
    if not isinstance(value, dict):
        return value
    whole = {name: _flat(one) for name, one in value.items()}
    for part in whole.pop("allOf", ()):
        whole = _merged(part, whole)
    return whole


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        both = {name: _merged(one[name], other[name]) for name in one.keys() & other.keys()}
        return {**one, **other, **both}
    return [*dict.fromkeys([*one, *other])] if isinstance(one, list) and isinstance(other, list) else other


def _address(channel: Any) -> re.Pattern[str]:
    """The routing keys of a channel."""

    def words(match: re.Match[str]) -> str:
        values = channel["parameters"][match[1]].get("enum")
        return f"({'|'.join(values)})" if values else "[0-9a-f-]{36}"

    return re.compile(re.sub(r"\{(\w+)\}", words, channel["address"].replace(".", r"\.")))


def _followed(value: Any, within: Path) -> Any:
    """A value of a document with every reference followed and every trait applied."""
    if isinstance(value, list):
        return [_followed(one, within) for one in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        file, _, pointer = value["$ref"].partition("#")
        target = within.parent / file if file else within
        found = functools.reduce(lambda at, word: at[word], pointer.split("/")[1:], _read(target))
        return _followed(found, target)
    whole = {name: _followed(one, within) for name, one in value.items()}
    return functools.reduce(lambda one, trait: {**trait, **one}, whole.pop("traits", ()), whole)


@functools.cache
def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
