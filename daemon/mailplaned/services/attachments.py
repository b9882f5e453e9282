"""Files to attach: as submitted, as they are written, and what is wrong with them."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mailplaned.domain import mime
from mailplaned.domain.header_values import control_fault

ATTACHMENT_COUNT = 100
FILENAME_BYTES = 255
MEDIA_TYPE_CHARACTERS = 255

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_MEDIA_TYPE = re.compile(
    rf'(?!(?i:multipart|message)/){_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*'
)
"""RFC 2045 5.1. A message/* may not be base64 (RFC 2046 5.2.1), a multipart/* neither."""

_BAD_IN_FILENAME = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentDraft:
    """A file as submitted; `content` is base64."""

    name: str
    type: str
    content: str


def attachments(
    drafts: Sequence[AttachmentDraft],
) -> tuple[list[mime.Attachment], list[tuple[str, str]]]:
    """The files, and their faults: the field and what is wrong with it."""
    if len(drafts) > ATTACHMENT_COUNT:
        return [], [("attachments", f"has more than {ATTACHMENT_COUNT} files")]
    found: list[mime.Attachment] = []
    faults: list[tuple[str, str]] = []
    for index, given in enumerate(drafts):
        wrong = {"name": _filename_fault(given.name), "type": _type_fault(given.type)}
        content = b""
        try:
            content = base64.b64decode(given.content, validate=True)
        except ValueError:
            wrong["content"] = "is not base64"
        faults += [
            (f"attachments[{index}].{field}", fault)
            for field, fault in wrong.items()
            if fault is not None
        ]
        found.append(mime.Attachment(name=given.name, type=given.type, content=content))
    return found, faults


def _filename_fault(name: str) -> str | None:
    if not name.strip(" .") or _BAD_IN_FILENAME.search(name) or _SURROGATE.search(name):
        return "is no file name: no path, no control or bidirectional character"
    if len(name.encode()) > FILENAME_BYTES:
        return f"is longer than {FILENAME_BYTES} bytes"
    return control_fault(name)


def _type_fault(media_type: str) -> str | None:
    if len(media_type) > MEDIA_TYPE_CHARACTERS or not _MEDIA_TYPE.fullmatch(media_type):
        return "is no media type that can be attached, such as application/pdf"
    return control_fault(media_type)
