"""``python -m microservice``: the bundled microservice as a process of its own."""

import argparse
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from dotenv import dotenv_values

from microservice.database import StateError
from microservice.server import BundledMicroservice
from microservice.settings import DEFAULT_PORT, DEFAULT_STATE, SettingsError, from_environment

_EPILOG = """\
environment (also read from .env):
  INTERNAL_SHARED_SECRET   bearer token every caller must send (required)
  AMQP_URL                 broker for events: amqp://user:password@host:5672//, amqps://..., memory:// (required)
  AMQP_EVENTS_EXCHANGE     durable topic exchange of the events (default ctrader.events)
  AMQP_ROUTING             flat: price.tick; account: account.<account_id>.price.tick (default flat)
  CTRADER_API_PREFIX       path prefix before every endpoint (default none)

The venue is simulated: every account starts with 10,000.00 USD at leverage 100. State survives in --state.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        self.exit(2, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m microservice",
        description="The bundled cTrader microservice with the paper venue: HTTP in, AMQP events out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port to listen on, 0 for a free one (default {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--state", type=Path, default=DEFAULT_STATE, help=f"SQLite file of the venue (default {DEFAULT_STATE})"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the prices (default 1)")
    parser.add_argument(
        "--speed",
        type=float,
        default=1.0,
        help="pace of the market: 1 is four ticks a second and symbol, 0 moves prices only through POST /_market",
    )
    return parser


def _fail(message: str) -> int:
    sys.stderr.write(f"python -m microservice: {message}\n")
    return 2


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean stop, 2 for wrong settings, 1 if it ended by itself."""
    options = _parser().parse_args(arguments)
    environment = {name: value for name, value in dotenv_values(".env").items() if value is not None}
    environment.update(os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = from_environment(
            environment,
            host=options.host,
            port=options.port,
            state=options.state,
            seed=options.seed,
            speed=options.speed,
        )
        service = BundledMicroservice(settings)
        service.start()
    except SettingsError as error:
        return _fail(str(error))
    except StateError as error:
        return _fail(f"--state: {error}")
    except OSError as error:
        return _fail(f"cannot listen on {options.host} port {options.port}: {error.strerror or error}")
    return _until_stopped(service)


def _until_stopped(service: BundledMicroservice) -> int:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    sys.stdout.write(f"microservice ready {service.base_url}{service.settings.api_prefix}\n")
    sys.stdout.flush()
    while service.is_alive() and not stopping.wait(0.5):
        continue
    service.stop()
    return 0 if service.failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
