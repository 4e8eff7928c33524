"""Event faults applied: messages doubled, held back, overtaken or torn."""

import dataclasses
from collections.abc import Callable

from microservice.events import Message
from microservice.faults import EventFault, FaultBoard


class Shaker:
    """Takes messages as they should go out and returns them as the armed faults would have it."""

    def __init__(self, board: FaultBoard, now: Callable[[], float]) -> None:
        self._board = board
        self._now = now
        self._late: list[tuple[float, Message]] = []
        self._overtaken: list[tuple[float, Message]] = []

    def shake(self, messages: list[Message]) -> list[Message]:
        """Return what goes out now, with what was held back until now."""
        out: list[Message] = []
        overtakers = False
        for message in messages:
            strikes = dict(self._board.strike_event(message.type, message.account_id))
            shaken = _torn(message) if EventFault.MALFORMED in strikes else message
            copies = [shaken, shaken] if EventFault.DUPLICATE in strikes else [shaken]
            if EventFault.DELAY in strikes:
                due = self._now() + strikes[EventFault.DELAY]
                self._late.extend((due, copy) for copy in copies)
            elif EventFault.REORDER in strikes:
                due = self._now() + strikes[EventFault.REORDER]
                self._overtaken.extend((due, copy) for copy in copies)
            else:
                out.extend(copies)
                overtakers = True
        out.extend(self._released(overtaken=overtakers))
        return out

    def _released(self, *, overtaken: bool) -> list[Message]:
        """What is due, and, once something has overtaken them, those that waited to be overtaken."""
        now = self._now()
        out = [message for due, message in self._late if due <= now]
        self._late = [(due, message) for due, message in self._late if due > now]
        out.extend(message for due, message in self._overtaken if overtaken or due <= now)
        self._overtaken = [] if overtaken else [(due, m) for due, m in self._overtaken if due > now]
        return out

    def held_ids(self) -> set[int]:
        """Return the outbox rows whose messages are being held back."""
        held = [*self._late, *self._overtaken]
        return {message.outbox_id for _, message in held if message.outbox_id is not None}

    def is_holding(self) -> bool:
        """Tell whether anything is held back."""
        return bool(self._late or self._overtaken)


def _torn(message: Message) -> Message:
    return dataclasses.replace(message, body=message.body[: len(message.body) // 2])
