"""What a browser may say: small, seldom, and in JSON objects."""

import time
from collections.abc import Callable
from typing import Any

import msgspec

MAX_CHARS = 4_096
BURST = 40
RATE_PER_S = 10.0
PATIENCE = 200
"""Messages beyond the rate that are answered, or passed over, before the socket is closed."""


class Refused(Exception):  # noqa: N818 - it names what happened to the message
    """The message cannot be taken. ``code`` is stable, for programs."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class TooMuchError(Exception):
    """It does not stop: the socket is to be closed."""


class Inbound:
    """Reads the messages of one socket."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._level = float(BURST)
        self._at = clock()
        self._excess = 0

    def read(self, text: str | None) -> dict[str, Any]:
        """The message as a JSON object. Raises Refused, and TooMuchError when nothing else helps."""
        self._pay()
        if text is None:
            raise Refused("NOT_TEXT", "send text frames")
        if len(text) > MAX_CHARS:
            raise Refused("TOO_LARGE", f"a message may have {MAX_CHARS} characters")
        try:
            message: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise Refused("MALFORMED", "send a JSON object") from None
        return message

    def _pay(self) -> None:
        now = self._clock()
        self._level = min(float(BURST), self._level + (now - self._at) * RATE_PER_S)
        self._at = now
        if self._level >= 1.0:
            self._level -= 1.0
            self._excess = 0
            return
        self._excess += 1
        if self._excess > PATIENCE:
            raise TooMuchError
        raise Refused("RATE_LIMITED", f"at most {RATE_PER_S:g} messages a second")
