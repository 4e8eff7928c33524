"""Our stream worker, as it is, on queues of the benchmark's own.

``python -m benchmarks.stream.worker STEM [bounded]``, with the environment of the product. Only the bounds of the
market queue are others, unless they are what is measured: the broker must not drop what is counted.
"""

import signal
import sys
from dataclasses import replace
from types import FrameType

from ctrader_app.conf import get_settings
from ctrader_app.consumers.stream.options import StreamOptions
from ctrader_app.consumers.worker import StreamWorker

MARKET_LENGTH = 2_000_000
MARKET_TTL_S = 600.0


def bench_options(url: str, stem: str, *, bounded: bool = False) -> StreamOptions:
    """The options of a worker whose queues and exchange begin with ``stem``; ``bounded`` as the product's are."""
    options = StreamOptions(url=url, exchange=f"{stem}.events", stem=stem, quorum=False)
    return options if bounded else replace(options, market_length=MARKET_LENGTH, market_ttl_s=MARKET_TTL_S)


def main(stem: str, *, bounded: bool) -> None:
    """Work until SIGTERM."""
    worker = StreamWorker(bench_options(get_settings().amqp_url, stem, bounded=bounded))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    worker.run()


if __name__ == "__main__":
    main(sys.argv[1], bounded=sys.argv[2:] == ["bounded"])
