"""The audit log as JSON lines that can be verified elsewhere, by whoever has the public key.

It is read in parts, apart from the writer, and told as it is read. What was damaged in the tables
is told as it stands: the verifier names it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mailplane_wire.audit.chain import BLOCK, audit_path, parts
from mailplane_wire.audit.lines import ExportCheckpoint, ExportEnd, ExportHead, ExportKept
from mailplaned.domain.chain import ChainedEntry, Checkpoint
from mailplaned.domain.roles import Action
from mailplaned.doors.http import views
from mailplaned.doors.http.change import permit
from mailplaned.doors.http.context import Context
from mailplaned.doors.http.guard import caller_of
from mailplaned.doors.http.replies import refuse
from mailplaned.doors.http.resources import workspace_of
from mailplaned.ports import Reader

MEDIA = "application/x-ndjson"

_CHUNK = 500
"""Entries that are read at once; other readers get their turn between."""

_encode = msgspec.json.Encoder().encode


async def export(request: Request, context: Context) -> Response:
    """The whole log, or with proofs the part of it that is of one workspace, as JSON lines."""
    caller = caller_of(request)
    workspace = workspace_of(request, caller)
    permit(caller, Action.READ_AUDIT, workspace)
    if workspace is None:
        return StreamingResponse(_whole(context), media_type=MEDIA)
    proofs = await _Proofs.read(context)
    count, last = await context.store.read(
        lambda reader: reader.audit_count(workspace, proofs.checkpoint.size)
    )
    head = proofs.head("workspace", workspace, count, last)
    return StreamingResponse(_part(proofs, head, workspace), media_type=MEDIA)


async def prove(request: Request, context: Context) -> Response:
    """One entry with the proof that it is in the log, as JSON lines."""
    caller = caller_of(request)
    text = request.path_params["seq"]
    seq = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    found = await context.store.read(lambda reader: reader.audit_span(seq, seq))
    if not found or not caller.may(Action.READ_AUDIT, found[0].workspace):
        raise refuse("not-found", f"there is no entry {text!r}")
    proofs = await _Proofs.read(context)
    if seq > proofs.checkpoint.size:
        raise refuse("conflict", f"no checkpoint covers entry {seq} yet")
    entries = [entry for entry in await proofs.block(seq) if entry.seq == seq]
    lines = [
        _encode(proofs.head("entry", found[0].workspace, 1, seq)),
        *(proofs.line(entry) for entry in entries),
        _encode(ExportEnd(entries=len(entries))),
    ]
    return Response(b"\n".join(lines) + b"\n", media_type=MEDIA)


async def _whole(context: Context) -> AsyncIterator[bytes]:
    checkpoints, kept = await context.audit.checkpoints()
    dropped, last, base = await context.store.read(_bounds)
    head = ExportHead(
        format=1,
        origin=checkpoints[-1].origin if checkpoints else await _origin(context),
        holds="all",
        workspace=None,
        dropped=dropped,
        base=None if base is None else views.checkpoint_view(base),
        checkpoint=views.checkpoint_view(checkpoints[-1]) if checkpoints else None,
        entries=last - dropped,
        last=last,
        key=context.audit.key,
    )
    yield _encode(_signed(head, context)) + b"\n"
    for found in checkpoints:
        yield _encode(ExportCheckpoint(checkpoint=views.checkpoint_view(found))) + b"\n"
    for number, line in enumerate(kept, 1):
        yield _encode(ExportKept(number=number, text=line)) + b"\n"
    count = 0
    for first in range(dropped + 1, last + 1, _CHUNK):
        entries = await _span(context, first, min(first + _CHUNK - 1, last))
        count += len(entries)
        if entries:
            yield b"".join(_encode(_line(entry)) + b"\n" for entry in entries)
        if context.stopping.is_set():
            return  # without an end: who reads it knows that it is not all
    yield _encode(ExportEnd(entries=count)) + b"\n"


async def _part(proofs: _Proofs, head: ExportHead, workspace: str) -> AsyncIterator[bytes]:
    yield _encode(head) + b"\n"
    count = 0
    seq: int | None = head.dropped
    while seq is not None and not proofs.context.stopping.is_set():
        after = seq
        seq = await proofs.context.store.read(
            lambda reader, after=after: reader.next_audit(workspace, after)  # type: ignore[misc]
        )
        if seq is None or seq > proofs.checkpoint.size:
            yield _encode(ExportEnd(entries=count)) + b"\n"
            return
        entries = await proofs.block(seq)
        own = [proofs.line(entry) for entry in entries if entry.workspace == workspace]
        count += len(own)
        yield b"".join(line + b"\n" for line in own)
        seq = -(-seq // BLOCK) * BLOCK


class _Proofs:
    """What proves entries against the newest checkpoint: a block of leaves, roots of the others."""

    def __init__(
        self,
        context: Context,
        checkpoint: Checkpoint,
        base: Checkpoint | None,
        blocks: dict[int, bytes],
    ) -> None:
        self.context = context
        self.checkpoint = checkpoint
        self._base = base
        self._above = {(number * BLOCK, BLOCK): root for number, root in blocks.items()}
        if base is not None:
            self._above.update(zip(parts(base.size), base.frontier, strict=False))
        self._known = dict(self._above)

    @classmethod
    async def read(cls, context: Context) -> _Proofs:
        """From the tables. Raises Refusal while there is no checkpoint."""

        def ask(reader: Reader) -> tuple[Checkpoint | None, Checkpoint | None, dict[int, bytes]]:
            newest = reader.last_checkpoint()
            _, _, base = _bounds(reader)
            return newest, base, reader.audit_blocks(newest.size // BLOCK if newest else 0)

        newest, base, blocks = await context.store.read(ask)
        if newest is None:
            raise refuse(
                "conflict", "there is no checkpoint yet; POST /v1/audit/checkpoints makes one"
            )
        proofs = cls(context, newest, base, blocks)
        rest = newest.size // BLOCK * BLOCK
        if rest < newest.size:  # the last block is in every proof
            await proofs.block(newest.size)
            proofs._above = dict(proofs._known)
        return proofs

    def head(
        self, holds: Literal["workspace", "entry"], workspace: str | None, entries: int, last: int
    ) -> ExportHead:
        """The first line of an export."""
        head = ExportHead(
            format=1,
            origin=self.checkpoint.origin,
            holds=holds,
            workspace=workspace,
            dropped=self._base.size if self._base else 0,
            base=views.checkpoint_view(self._base) if self._base else None,
            checkpoint=views.checkpoint_view(self.checkpoint),
            entries=entries,
            last=last,
            key=self.context.audit.key,
        )
        return _signed(head, self.context)

    async def block(self, seq: int) -> list[ChainedEntry]:
        """The entries of the block that an entry is in; their proofs can be told from then on."""
        start = (seq - 1) // BLOCK * BLOCK
        first = max(start, self._base.size if self._base else 0) + 1
        last = min(start + BLOCK, self.checkpoint.size)
        entries: list[ChainedEntry] = []
        for at in range(first, last + 1, _CHUNK):
            entries += await _span(self.context, at, min(at + _CHUNK - 1, last))
        self._known = dict(self._above)
        if len(entries) <= last - first:  # some were lost, and the log went on from a checkpoint
            met = await self.context.store.read(lambda reader: reader.checkpoints(start, BLOCK))
            for found in met:
                self._known.update(zip(parts(found.size), found.frontier, strict=False))
        self._known.update({(entry.seq - 1, 1): entry.leaf() for entry in entries})
        return entries

    def line(self, entry: ChainedEntry) -> bytes:
        """The line of an entry of the block; without a proof where it takes what was lost."""
        try:
            path = audit_path(self._known, entry.seq - 1, self.checkpoint.size)
        except KeyError:
            path = None
        proof = None if path is None else [node.hex() for node in path]
        return _encode({**_line(entry), "hash": None, "proof": proof})


def _line(entry: ChainedEntry) -> dict[str, Any]:
    return {"type": "entry", **entry.facts()}


def _signed(head: ExportHead, context: Context) -> ExportHead:
    return msgspec.structs.replace(head, signature=context.audit.sign(head.content()).hex())


def _bounds(reader: Reader) -> tuple[int, int, Checkpoint | None]:
    """Up to which entry the log is dropped, the last one, and the checkpoint between."""
    _, dropped = reader.audit_log()
    return dropped, reader.last_audit(), reader.checkpoint(dropped) if dropped else None


async def _span(context: Context, first: int, last: int) -> list[ChainedEntry]:
    return await context.store.read(lambda reader: reader.audit_span(first, last))


async def _origin(context: Context) -> str:
    origin, _ = await context.store.read(lambda reader: reader.audit_log())
    return origin
