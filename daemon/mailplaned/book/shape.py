"""Checks a parsed file against its types and tells every fault at once.

msgspec stops at the first fault; an operator wants all of them. So in a file that has one, each
value is converted by itself, what is faulty is told and left out, and the rest goes on to the
checks of meaning.
"""

from __future__ import annotations

from datetime import date
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from mailplaned.book.exposed import looks_secret, names_a_secret
from mailplaned.book.places import Key
from mailplaned.book.source import NOTHING, Source, nearest

T = TypeVar("T", bound=msgspec.Struct)

_FAULTY: Final = object()

_WORDS: Final = {
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
    bool: "true or false",
    date: "a date such as 2026-11-02",
}

_UNTOLD: Final = ("secret", "password", "token", "key")
"""A value under such a key is never repeated in a problem: it may be the secret itself."""


def shaped(source: Source, type_: type[T]) -> T | None:
    """The file as `type_`, without its faulty parts; None when too little of it is left."""
    try:
        return msgspec.convert(source.raw, type_)
    except msgspec.ValidationError:
        value = _clean(source, source.raw, type_, ())
        return None if value is _FAULTY else msgspec.convert(value, type_)


def _clean(source: Source, value: Any, type_: Any, key: Key) -> Any:
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _clean(source, value, inner, key)
    if origin is list:
        return _clean_list(source, value, arguments[0], key)
    if origin is dict:
        return _clean_names(source, value, arguments, key)
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return _clean_table(source, value, type_, key)
    return _clean_leaf(source, value, type_, key)


def _clean_table(source: Source, value: Any, type_: type[msgspec.Struct], key: Key) -> Any:
    if not isinstance(value, dict):
        source.raw_problem(key, "must be a table", "write [name] or {…}", _told(key, value))
        return _FAULTY
    known = _fields(type_)
    for name in value:
        if name not in known:
            advice = nearest(name, known)
            if names_a_secret(name):
                advice = "a secret has no place here: name it, and use mailplane secret set NAME"
            source.raw_problem((*key, name), "unknown key", advice)
    cleaned: dict[str, Any] = {}
    faulty = False
    for name, info in known.items():
        if name in value:
            part = _clean(source, value[name], info.type, (*key, name))
            if part is not _FAULTY:
                cleaned[name] = part
                continue
        elif _required(info):
            source.raw_problem(key, f'"{name}" is missing', f"add {name} = …")
        faulty = faulty or _required(info)
    return _FAULTY if faulty else cleaned


@cache
def _fields(type_: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    return {info.encode_name: info for info in msgspec.structs.fields(type_)}


def _clean_list(source: Source, value: Any, type_: Any, key: Key) -> Any:
    if not isinstance(value, list):
        source.raw_problem(key, "must be a list", "write […] or [[name]]", _told(key, value))
        return _FAULTY
    items = [
        (place, item)
        for place, raw in enumerate(value)
        if (item := _clean(source, raw, type_, (*key, place))) is not _FAULTY
    ]
    source.kept[key] = [place for place, _ in items]
    return [item for _, item in items]


def _clean_names(source: Source, value: Any, types: tuple[Any, ...], key: Key) -> Any:
    if not isinstance(value, dict):
        source.raw_problem(key, "must be a table", "write {name = …}", _told(key, value))
        return _FAULTY
    cleaned = {}
    for name, raw in value.items():
        if _clean_leaf(source, name, types[0], (*key, name)) is _FAULTY:
            continue
        part = _clean(source, raw, types[1], (*key, name))
        if part is not _FAULTY:
            cleaned[name] = part
    return cleaned


def _clean_leaf(source: Source, value: Any, type_: Any, key: Key) -> Any:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        choices = _choices(type_)
        wrong = "not one of its values" if choices else f"must be {_wanted(type_)}"
        advice = nearest(str(value), choices) if choices else "correct it"
        source.raw_problem(key, wrong, advice, _told(key, value))
        return _FAULTY
    return value


def _choices(type_: Any) -> list[str]:
    if get_origin(type_) is Literal:
        return [str(choice) for choice in get_args(type_)]
    if isinstance(type_, type) and issubclass(type_, Enum):
        return [str(member.value) for member in type_]
    return []


def _wanted(type_: Any) -> str:
    if get_origin(type_) is Annotated:
        for note in type_.__metadata__:
            if isinstance(note, msgspec.Meta) and note.description:
                return note.description
    return _WORDS.get(type_, "another type")


def _required(info: FieldInfo) -> bool:
    return info.default is msgspec.NODEFAULT and info.default_factory is msgspec.NODEFAULT


def _told(key: Key, value: object) -> object:
    last = next((part for part in reversed(key) if isinstance(part, str)), "")
    untold = any(word in last for word in _UNTOLD) or looks_secret(value)
    return NOTHING if untold else value
