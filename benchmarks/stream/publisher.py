"""Publishes ticks at a steady rate, each at its moment, and writes down when each left.

``python -m benchmarks.stream.publisher AMQP_URL EXCHANGE ACCOUNT SYMBOLS RATE NUMBER FIRST FILE``. The bid of the n-th
tick is FIRST + n; FILE gets its moment, in monotonic seconds, as the n-th double. A process of its own: a pace is not
kept beside a thread that has something else to do.
"""

import sys
import time
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kombu import Connection

from benchmarks.stream.ticks import TICK_KEY, publishings, symbol_names, tick

LEAD_S = 1.0
"""Everything is encoded before the first tick is due."""


def main(
    url: str, exchange: str, account_id: str, symbols: int, rate: float, number: int, first: int
) -> "array[float]":
    """When each tick left."""
    names = symbol_names(symbols)
    with Connection(url) as connection:
        connection.connect()
        connection.channel()
        transport = connection.connection.transport
        # They say that they occur when they are due; encoding takes some 20 microseconds each.
        lead_s = LEAD_S + number * 60e-6
        starts, due_s = datetime.now(UTC) + timedelta(seconds=lead_s), time.monotonic() + lead_s
        messages = [
            publishings(
                exchange, TICK_KEY,
                [tick(account_id, names[n % symbols], float(first + n), starts + timedelta(seconds=n / rate))],
            )
            for n in range(number)
        ]  # fmt: skip
        sent = array("d")
        for index, message in enumerate(messages):
            wait_s = due_s + index / rate - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            sent.append(time.monotonic())
            transport.write(message)
    return sent


if __name__ == "__main__":
    _url, _exchange, _account = sys.argv[1:4]
    moments = main(_url, _exchange, _account, int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]), int(sys.argv[7]))
    Path(sys.argv[8]).write_bytes(moments.tobytes())
