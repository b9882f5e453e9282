"""Follows the daemon's stream in a thread of its own and hands on what it says, in order.

The thread never touches the screen: the app takes from the queue at its own pace, and a full queue
makes the daemon wait rather than the dashboard grow.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from mailplane_wire.client import Client, DaemonUnreachable, Refused
from mailplane_wire.resources import Snapshot, StreamMessage

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MOST_S: Final = 10.0
QUEUE_LENGTH: Final = 10_000


@dataclass(frozen=True, slots=True)
class Heard:
    """A message of the stream, with the reading of the clock at which it came."""

    message: StreamMessage
    at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The stream ended; the next try is at that reading of the clock."""

    fault: str
    retry_at: float


class Feed:
    """One stream, kept up until `stop`: on a fault it tries again after 0.5 to 10 s."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._queue: queue.Queue[Heard | Lost] = queue.Queue(QUEUE_LENGTH)
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._last_id: str | None = None
        self._thread = threading.Thread(target=self._run, name="mailplane-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Follow no longer; the thread ends with the next message or try."""
        self._stopped.set()
        self._wake.set()

    def retry_now(self) -> None:
        """Don't wait for the next try."""
        self._wake.set()

    def drain(self) -> Iterator[Heard | Lost]:
        """What came since the last call."""
        for _ in range(self._queue.qsize()):
            yield self._queue.get_nowait()

    def _run(self) -> None:
        delay_s = BACKOFF_FIRST_S
        while not self._stopped.is_set():
            heard = False
            fault = "the daemon closed the stream"
            try:
                for event_id, message in self._client.stream(last_event_id=self._last_id):
                    if self._stopped.is_set():
                        return
                    self._last_id = event_id or self._last_id
                    heard = heard or isinstance(message, Snapshot)
                    self._queue.put(Heard(message, self._clock()))
            except (DaemonUnreachable, Refused) as stopped:
                fault = str(stopped)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                fault = "the daemon speaks another version of the protocol; upgrade the older one"
            delay_s = BACKOFF_FIRST_S if heard else delay_s
            self._wake.clear()
            if self._stopped.is_set():
                return
            self._queue.put(Lost(fault, self._clock() + delay_s))
            if self._wake.wait(delay_s):
                delay_s = BACKOFF_FIRST_S
            else:
                delay_s = min(delay_s * 2, BACKOFF_MOST_S)
