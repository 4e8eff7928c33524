"""Publishes ticks as fast as they can be encoded.

``python -m benchmarks.stream.burst AMQP_URL EXCHANGE ACCOUNT SYMBOLS NUMBER``. The bid of the n-th tick is n.
"""

import socket
import sys
from typing import Any

from kombu import Connection

from benchmarks.stream.ticks import TICK_KEY, publishings, symbol_names, tick_series

CHUNK = 5_000


def main(url: str, exchange: str, account_id: str, symbols: int, number: int) -> None:
    """Publish all of them, and wait until the broker has them."""
    names = symbol_names(symbols)
    patience = {"socket_settings": {socket.TCP_USER_TIMEOUT: 60_000}}
    with Connection(url, transport_options=patience) as connection:
        connection.connect()
        channel: Any = connection.channel()
        for first in range(0, number, CHUNK):
            bodies = tick_series(account_id, names, min(CHUNK, number - first), first)
            connection.connection.transport.write(publishings(exchange, TICK_KEY, bodies))
        channel.close()


if __name__ == "__main__":
    _url, _exchange, _account = sys.argv[1:4]
    main(_url, _exchange, _account, int(sys.argv[4]), int(sys.argv[5]))
