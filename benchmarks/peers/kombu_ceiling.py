"""The ceiling of one kombu process: every message taken and its JSON decoded, nothing else.

``python -m benchmarks.peers.kombu_ceiling AMQP_URL QUEUE NUMBER`` prints, in monotonic seconds, when it had ``NUMBER``.
"""

import signal
import sys
import time
from typing import Any

import msgspec
from kombu import Connection, Consumer, Queue


def main(url: str, queue: str, number: int) -> None:
    """Consume without acknowledgement until ``number`` messages were decoded."""
    decode = msgspec.json.decode
    left = number

    def take(message: Any) -> None:
        nonlocal left
        decode(message.body)
        left -= 1

    with Connection(url) as connection:
        channel: Any = connection.channel()
        channel.auto_decode = False
        with Consumer(channel, [Queue(queue, no_declare=True)], on_message=take, no_ack=True, auto_declare=False):
            while left > 0:
                connection.drain_events()
        sys.stdout.write(f"done {time.monotonic()!r}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
