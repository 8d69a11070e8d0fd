"""What a provider wants to be told, declared: forms, validation and masking follow from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["text", "secret", "boolean", "list"]

MASK: Final = "****"
LONGEST: Final = 2000
MOST: Final = 1000
ID: Final = re.compile("[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a provider.

    Attributes:
        kind: `text`; `secret`, which is never shown; `boolean`; `list` of texts.
        label: for people, as is `help`.
        required: without it nothing can be read.
        default: what holds where nothing is said.
        choices: name of what the connection test offers to choose from (`workspaces`), if anything.
        id: a text, and each of a list, is an id of the source: letters, digits, `-` and `_`; a number is one, too.
        aliases: other names it is understood by.
    """

    name: str
    kind: Kind
    label: str
    help: str = ""
    required: bool = False
    default: Any = None
    choices: str | None = None
    id: bool = False
    aliases: tuple[str, ...] = ()


class Invalid(Exception):
    """Settings that cannot be saved; `faults` says by name what is wrong with each, and quotes no value."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name} {fault}" for name, fault in faults.items()))
        self.faults = dict(faults)


def checked(
    declared: Sequence[Setting], given: Mapping[str, Any], *, saved: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings to save: what is given over what is saved. None takes a setting back; a mask leaves a secret.

    Raises:
        Invalid: a name that nobody declared, a value of the wrong kind, or a required setting that is missing.
    """
    known = {name: one for one in declared for name in (one.name, *one.aliases)}
    after, faults = (
        dict(saved or {}),
        {name: "is not a setting of this provider" for name in given if name not in known},
    )
    for name, value in given.items():
        if (setting := known.get(name)) is None:
            continue
        if value is None:
            after.pop(setting.name, None)
        elif setting.kind == "secret" and isinstance(value, str) and MASK in value:
            if setting.name not in after:
                faults[name] = "is masked; give the secret itself"
        else:
            try:
                after[setting.name] = _read(setting, value)
            except ValueError as error:
                faults[name] = str(error)
    for setting in declared:
        if setting.required and setting.name not in after and not faults.keys() & {setting.name, *setting.aliases}:
            faults[setting.name] = "is required"
    if faults:
        raise Invalid(faults)
    return after


def _read(setting: Setting, value: object) -> object:
    match setting.kind:
        case "boolean":
            if value is not True and value is not False:
                raise ValueError("must be true or false")
            return value
        case "list":
            if not isinstance(value, list) or len(value) > MOST:
                raise ValueError(f"must be a list of at most {MOST} ids")
            return [_line(setting, one) for one in value]
        case _:
            return _line(setting, value)


def _line(setting: Setting, value: object) -> str:
    if setting.id and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or not value.isprintable():
        raise ValueError(f"must be a line of text of at most {LONGEST} characters")
    written = value.strip()
    if setting.id and ID.fullmatch(written) is None:
        raise ValueError("must be an id: at most 64 letters, digits, - and _")
    return written


def mask(value: object) -> str:
    """A secret as it may leave."""
    written = str(value)
    return written[:4] + MASK + written[-4:] if len(written) >= 16 else MASK
