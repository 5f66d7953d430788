"""What every configuration is made of: fields with help texts, checks that name the flag, coercion."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable
from dataclasses import field
from typing import Any, Literal

from biggan.errors import UserError


def setting(default: Any, help: str) -> Any:
    """A dataclass field with a default and the help text that `--help` prints."""
    return field(default=default, metadata={"help": help})


def unknown_name(name: str, known: Iterable[str], what: str) -> str:
    """One line for a name that does not exist, with the nearest one that does."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
    return f"unknown {what} {name!r}; {hint}"


# ---- validation ----------------------------------------------------------------------------------


def require(condition: bool, message: str) -> None:
    """UserError with this message unless the condition holds."""
    if not condition:
        raise UserError(message)


def join(values: Iterable[object]) -> str:
    """Values as a user types them after a flag."""
    return " ".join(map(str, values))


def flag(name: str) -> str:
    """The flag of a field."""
    return "--" + name.replace("_", "-")


def at_least(config: object, least: int, *names: str) -> None:
    """UserError naming the first of these fields that is below `least`."""
    for name in names:
        value = getattr(config, name)
        require(value >= least, f"{flag(name)} {value} must be at least {least}")


def greater_than_zero(config: object, *names: str) -> None:
    """UserError naming the first of these fields that is not positive, or not a number."""
    for name in names:
        value = getattr(config, name)
        require(value > 0, f"{flag(name)} {value:g} must be greater than 0")


def betas(config: object, *names: str) -> None:
    """UserError naming the first of these fields that is not in [0, 1)."""
    for name in names:
        value = getattr(config, name)
        require(0 <= value < 1, f"{flag(name)} {value:g} must be at least 0 and below 1")


def coerce(config: Any) -> None:
    """Give every field its declared type, or say which value has another one."""
    hints = typing.get_type_hints(type(config))
    for f in dataclasses.fields(config):
        object.__setattr__(config, f.name, _as_type(f.name, getattr(config, f.name), hints[f.name]))


def _as_type(name: str, value: Any, hint: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and number:
        return float(value)
    if hint is float and isinstance(value, str):     # YAML 1.1 reads 1e-4, without a dot, as a string
        try:
            return float(value)
        except ValueError:
            pass
    if hint is int and number and math.isfinite(value) and value == int(value):
        return int(value)
    if hint in (str, bool) and isinstance(value, hint):
        return value
    if typing.get_origin(hint) is Literal and value in typing.get_args(hint):
        return value
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(_as_type(name, item, typing.get_args(hint)[0]) for item in value)
    raise UserError(f"{flag(name)} {value!r} is not {_describe(hint)}")


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"a list of {'whole numbers' if typing.get_args(hint)[0] is int else 'names'}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]
