"""What it proves that a write got no answer. A closed table: what no row names is Unknown.

| what was raised | proves |
|---|---|
| NothingSent: the request could not even be written | not sent |
| NewConnectionError and its kind (refused, unreachable, DNS, TLS handshake, see ``connections``) | not sent |
| ConnectTimeoutError | not sent |
| a certificate that was not accepted | not sent |
| anything else: read timeout, reset, closed, cut short, oversized, unforeseen | unknown |
"""

import ssl
from collections.abc import Iterator

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from ctrader_app.domain.outcomes import NotSent, Unknown

_MAX_CAUSES = 12


class NothingSent(Exception):  # noqa: N818 - it names what is proven
    """The request could not be written down, so it was not sent."""


NOT_SENT: tuple[type[Exception], ...] = (
    NothingSent,
    NewConnectionError,
    ConnectTimeoutError,
    ssl.SSLCertVerificationError,
)


def classify(error: Exception) -> NotSent | Unknown:
    """The outcome of a write that raised ``error`` instead of being answered."""
    for cause in causes(error):
        if isinstance(cause, NOT_SENT):
            return NotSent(reason_of(error))
    return Unknown(reason_of(error), str(error))


def reason_of(error: Exception) -> str:
    """The names of the outermost and the innermost error: ``ConnectionError: NewConnectionError``."""
    names = list(dict.fromkeys(type(cause).__name__ for cause in causes(error)))
    return ": ".join([names[0], names[-1]] if len(names) > 1 else names)


def causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what lies behind it: urllib3 keeps that in ``reason``, requests in the arguments."""
    for _ in range(_MAX_CAUSES):
        yield error
        inner = [getattr(error, "reason", None), *error.args, error.__cause__]
        behind = next((each for each in inner if isinstance(each, BaseException)), None)
        if behind is None:
            return
        error = behind
