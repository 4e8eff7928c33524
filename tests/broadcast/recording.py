"""A channel layer that notes what it is sent, and misbehaves when told to."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from channels.layers import channel_layers

from ctrader_app.broadcast.messages import Message


class RecordingLayer:
    """Stands where a channel layer stands; can be told to refuse and to hang."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.refusals: list[Exception] = []
        self.blocked = threading.Event()
        self.hold = False
        self.threads: set[str] = set()

    async def group_send(self, group: str, message: Message) -> None:
        """Note the message, unless told otherwise."""
        self.threads.add(threading.current_thread().name)
        while self.hold:
            self.blocked.set()
            await asyncio.sleep(0.005)
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append((group, message))

    def values(self) -> dict[str, list[Any]]:
        """The contents of all prices sent, by group."""
        found: dict[str, list[Any]] = defaultdict(list)
        for group, message in list(self.sent):
            if "price" in message:
                found[group].append(message["price"])
        return dict(found)

    def of(self, kind: str) -> list[Message]:
        """All messages of one type."""
        return [message for _, message in list(self.sent) if message["type"] == kind]


@contextmanager
def recording_layer() -> Iterator[RecordingLayer]:
    """This process's channel layer is a RecordingLayer within the block."""
    recording = RecordingLayer()
    before = channel_layers.set("default", recording)
    try:
        yield recording
    finally:
        channel_layers.backends.pop("default", None)
        if before is not None:
            channel_layers.set("default", before)
