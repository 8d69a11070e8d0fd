"""The contract for subscribers as values: its documents, their references followed, and what a change of it breaks.

Promise of `breaks`: it names everything that a subscriber who reads by the older schema could miss in the newer one.
What is new does not break one, since the contract tells to ignore what one does not know.
"""

from __future__ import annotations

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
FORMATS: Final = FormatChecker(formats=())
FORMATS.checks("uuid", ValueError)(lambda text: not isinstance(text, str) or str(UUID(text)) == text)
FORMATS.checks("date-time", ValueError)(
    lambda text: not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None
)


@dataclass(frozen=True, slots=True)
class Contract:
    """The contract in a folder: `asyncapi.yaml`, and its schemas in `events/`."""

    folder: Path

    @property
    def document(self) -> Any:
        """The AsyncAPI document with references followed and traits applied."""
        return _whole(self.folder / "asyncapi.yaml")

    def channel(self, routing_key: str) -> str:
        """The name of the one channel that a routing key belongs to."""
        (name,) = (name for name, one in self.document["channels"].items() if _address(one).fullmatch(routing_key))
        return str(name)

    def message(self, routing_key: str) -> Any:
        """The message that comes with a routing key."""
        type_, channel = routing_key.rpartition(".")[0], self.document["channels"][self.channel(routing_key)]
        messages = {one["name"]: one for one in channel["messages"].values()}
        return messages.get(type_) or messages[{"knowledge": "knowledge.change", "import": "import.job"}[type_.split(".")[0]]]

    def names(self) -> set[str]:
        """Channels, the values of their parameters and their messages: what a subscriber may have named."""
        found = set()
        for name, channel in self.document["channels"].items():
            found |= {f"{name} {channel['address']}", *(f"{name} message {one}" for one in channel["messages"])}
            for parameter, one in channel["parameters"].items():
                found |= {f"{name} {parameter} {value}" for value in one.get("enum", ())}
        return found

    def schemas(self) -> Mapping[str, Any]:
        """Every schema by its place, references followed."""
        channels = self.document["channels"].values()
        messages = {one["name"]: one for channel in channels for one in channel["messages"].values()}
        return {f"{name} {part}": one[part] for name, one in messages.items() for part in ("headers", "payload")}


def problems(schema: Any, value: Any) -> list[str]:
    """What does not fit, in one line each."""
    found = Draft202012Validator(schema, format_checker=FORMATS).iter_errors(value)
    return [f"{one.json_path}: {one.message}" for one in found]


def incompatible(old: Contract, new: Contract) -> list[str]:
    """What breaks subscribers of the older contract."""
    schemas = new.schemas()
    found = [f"{name} is gone" for name in sorted(old.names() - new.names())]
    for place, schema in old.schemas().items():
        found += [*breaks(schema, schemas[place], place)] if place in schemas else [f"{place} is gone"]
    return found


def breaks(old: Any, new: Any, at: str) -> Iterator[str]:
    """What of the older schema does not hold in the newer one."""
    for name in old.get("required", ()):
        if name not in _all(new, "required"):
            yield f"{at}.{name} is not required any more"
    for name, one in old.get("properties", {}).items():
        if name not in _all(new, "properties"):
            yield f"{at}.{name} is gone"
        else:
            yield from breaks(one, _all(new, "properties")[name], f"{at}.{name}")
    for part in old.get("allOf", ()):
        yield from breaks(part, new, at)
    if "type" in old and not _types(new) <= _types(old) | ({"integer"} if "number" in _types(old) else set()):
        yield f"{at} has another type"
    if gone := set(old.get("enum", ())) - set(new.get("enum", old.get("enum", ()))):
        yield f"{at} has no {', '.join(sorted(gone))} any more"
    for word in ("const", "format", "pattern", "minimum"):
        if word in old and old[word] != new.get(word):
            yield f"{at} has another {word}"
    for word in ("items", "additionalProperties"):
        if isinstance(old.get(word), dict):
            yield from breaks(old[word], new[word] if isinstance(new.get(word), dict) else {}, f"{at}[]")


def _types(schema: Any) -> set[str]:
    found = schema.get("type") or next((one["type"] for one in schema.get("allOf", ()) if "type" in one), "anything")
    return {found} if isinstance(found, str) else set(found)


def _all(schema: Any, word: str) -> dict[str, Any]:
    """`required` or `properties` of a schema and of those it consists of."""
    own = schema.get(word, {})
    found = dict.fromkeys(own) if isinstance(own, list) else dict(own)
    for part in schema.get("allOf", ()):
        found = {**_all(part, word), **found}
    return found


def _address(channel: Any) -> re.Pattern[str]:
    """The routing keys of a channel."""

    def words(match: re.Match[str]) -> str:
        values = channel["parameters"][match[1]].get("enum")
        return f"({'|'.join(values)})" if values else "[0-9a-f-]{36}"

    return re.compile(re.sub(r"\{(\w+)\}", words, channel["address"].replace(".", r"\.")))


def _whole(path: Path) -> Any:
    """A document with every reference followed and every trait applied."""

    def followed(value: Any, within: Path) -> Any:
        if isinstance(value, list):
            return [followed(one, within) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            file, _, pointer = value["$ref"].partition("#")
            target = within.parent / file if file else within
            return followed(_at(_read(target), pointer), target)
        whole = {name: followed(one, within) for name, one in value.items()}
        for trait in whole.pop("traits", ()):
            whole = {**trait, **whole}
        return whole

    return followed(_read(path), path)


def _at(document: Any, pointer: str) -> Any:
    for word in pointer.strip("/").split("/"):
        document = document[word] if word else document
    return document


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.suffix == ".yaml" else json.loads(path.read_text())
