"""``manage.py run_stream_worker``: the production stream worker."""

import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ctrader_app.consumers.worker import StreamFailedError, StreamWorker, stream_options


class Command(BaseCommand):
    """Runs one stream worker in the foreground until SIGTERM or SIGINT."""

    help = (
        "Read the event stream: prices and bars go to the browsers, state events into the books. Runs until SIGTERM "
        "or Ctrl-C (exit 0). Exits 1 when the broker or the database stays away for minutes, for a supervisor to "
        "start it again, and 2 when AMQP_URL names no broker that several processes can share. A second worker is a "
        "spare that takes over at once; with AMQP_MARKET_SHARED it also takes its share of prices and bars."
    )
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Run until told to stop."""
        options = stream_options()
        if options.in_memory:
            raise CommandError(
                "AMQP_URL is memory://, which no other process can reach: set it to a RabbitMQ (amqp://...), or use "
                "script/server, which runs the stream worker inside",
                returncode=2,
            )
        worker = StreamWorker(options)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        threading.Thread(target=self._announce, args=(worker,), daemon=True).start()
        try:
            worker.run()
        except StreamFailedError as error:
            raise CommandError(f"the stream worker gives up: {error}", returncode=1) from error
        self.stdout.write("stream worker stopped")

    def _announce(self, worker: StreamWorker) -> None:
        worker.ready.wait()
        options = stream_options()
        market = f"{'its share of ' if options.shares_market else ''}{options.stem}.market"
        self.stdout.write(f"stream worker {worker.name} consuming {market} and {options.stem}.state")
        self.stdout.flush()
