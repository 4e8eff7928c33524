"""The bundled microservice, assembled: in a thread of its own, with its own event loop.

``python -m microservice`` runs it alone; an embedding process starts it the same way, with ``AMQP_URL=memory://``.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable

import uvicorn

from microservice.api.app import build_app
from microservice.api.control import Control
from microservice.api.handlers import Handlers, Health
from microservice.api.routes import RouteSpec, contract_routes, control_routes
from microservice.api.writes import Writes
from microservice.clock import Clock, SystemClock
from microservice.database import Database
from microservice.events import EventFactory, Message
from microservice.faults import FaultBoard
from microservice.idempotency import Journal
from microservice.outbox import Outbox
from microservice.publisher import Publisher
from microservice.pump import Pump
from microservice.settings import Settings
from microservice.shaker import Shaker
from microservice.streams import Streams
from microservice.venue.paper.venue import PaperVenue

_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 15.0
_DRAIN_S = 1.0
_PURGE_EVERY_S = 3_600.0
_MOST_FAILURES = 20

logger = logging.getLogger("microservice")


def _listen(host: str, port: int) -> socket.socket:
    """Bind here, not in uvicorn, so that a taken port is raised to the caller and port 0 becomes known.

    TCP_NODELAY is inherited by accepted connections. asyncio would set it, but only on sockets whose protocol number
    is given; without it the body of every answer waits 40 ms for the acknowledgement of its head.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=512)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


class _Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()


class BundledMicroservice:
    """The microservice with the paper venue. ``start`` returns once it answers; ``stop`` once all is saved."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._listening = threading.Event()
        self._finished = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="microservice", daemon=True)

    @property
    def base_url(self) -> str:
        """The URL callers use, prefix not included; port 0 has become a real one after ``start``."""
        port = self.settings.port
        if self._socket is not None:
            port = self._socket.getsockname()[1]
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{port}"

    def start(self) -> None:
        """Start and wait until requests are answered.

        Raises OSError if the port is taken, StateError if the state cannot be used.
        """
        self._socket = _listen(self.settings.host, self.settings.port)
        self._thread.start()
        deadline_passed = not self._wait_listening()
        if self._failure is not None:
            raise self._failure
        if deadline_passed:
            raise TimeoutError("the microservice did not start in time")

    def _wait_listening(self) -> bool:
        return self._listening.wait(_START_TIMEOUT_S)

    def stop(self) -> None:
        """Stop cleanly: finish the requests in flight, send what can be sent, save the market."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        elif self._socket is not None:
            self._socket.close()

    def is_alive(self) -> bool:
        """Tell whether it is running; an embedding process watches this."""
        return self._thread.is_alive() and not self._finished.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has ended, by ``stop`` or by itself; return whether it has."""
        return self._finished.wait(timeout_s)

    @property
    def failure(self) -> BaseException | None:
        """What ended it, if it did not end cleanly."""
        return self._failure

    # --- the thread ---

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._failure = error
            if self._listening.is_set():
                logger.exception("the microservice ended")
        finally:
            self._finished.set()
            self._listening.set()
            if self._socket is not None:
                self._socket.close()

    async def _main(self) -> None:
        database = Database(self.settings.state)
        try:
            await self._serve(_Assembly(self.settings, database, self._clock))
        finally:
            database.close()

    async def _serve(self, parts: "_Assembly") -> None:
        config = uvicorn.Config(
            parts.app,
            http="h11",  # faults cut connections through it
            ws="none",
            loop="asyncio",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
        )
        self._server = server = _Server(config, self._listening.set)
        parts.publisher.start()
        parts.venue.open()
        tasks = [asyncio.create_task(self._guard(work, server), name=name) for name, work in parts.work()]
        try:
            await server.serve(sockets=[self._socket] if self._socket else None)
            if parts.publisher.connected:
                await parts.pump.drain(_DRAIN_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            parts.venue.close()
            await asyncio.to_thread(parts.publisher.stop)

    async def _guard(self, work: Callable[[], Awaitable[None]], server: _Server) -> None:
        """Run a background task; after too many failures in a row end the process, for a supervisor to restart."""
        failures = 0
        while not server.should_exit:
            try:
                await work()
                failures = 0
            except Exception as error:  # the boundary of a background task: one bad step must not end the venue
                failures += 1
                logger.exception("background work failed (%d in a row)", failures)
                if failures >= _MOST_FAILURES:
                    self._failure = error
                    server.should_exit = True
                await asyncio.sleep(0.1)


class _Assembly:
    """All parts, wired; made in the thread of the event loop, to which they belong."""

    def __init__(self, settings: Settings, database: Database, clock: Clock) -> None:
        self._settings = settings
        self._board = FaultBoard(settings.seed)
        self._journal = Journal(database, clock)
        self._outbox = Outbox(database, clock)
        streams = Streams(clock)
        self.publisher = Publisher(settings.amqp_url, settings.events_exchange)
        self.venue = PaperVenue(
            database,
            clock=clock,
            market_listener=streams,
            state_listener=self._outbox,
            seed=settings.seed,
            interval_ms=settings.interval_ms,
        )
        factory = EventFactory(self.venue.identity, settings.routing, clock)
        loop = asyncio.get_running_loop()
        self._market_shaker = Shaker(self._board, loop.time)
        self.pump = Pump(self.venue, self._outbox, self.publisher, factory, Shaker(self._board, loop.time), clock)
        streams.attach(factory, self._publish_market)
        self._outbox.attach(committed=self.pump.wake, is_connected=self.venue.is_connected)
        self.app = build_app(
            self._routes(streams),
            Writes(self.venue, self._journal),
            self._board,
            secret=settings.secret,
            prefix=settings.api_prefix,
        )

    def _routes(self, streams: Streams) -> list[RouteSpec]:
        routes = contract_routes(Handlers(self.venue, streams, self._health))
        endpoints = {route.path for route in routes if not route.public}
        return [*routes, *control_routes(Control(self.venue, self._board, endpoints))]

    def _health(self) -> Health:
        events = "connected" if self.publisher.connected else "reconnecting"
        return Health(status="ok", venue="paper", events=events, outbox=self._outbox.count())

    def _publish_market(self, messages: list[Message]) -> None:
        shaken = self._market_shaker.shake(messages)
        if shaken:
            self.publisher.market(shaken)

    def work(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return what runs beside the HTTP front."""
        work: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("pump", self.pump.run),
            ("purge", self._purge),
        ]
        if self._settings.speed:
            work.append(("market", self._step))
        return work

    async def _step(self) -> None:
        """One step of the market, on the beat: sleeping to the next multiple keeps the pace when steps are slow."""
        interval = self._settings.interval_ms / 1000
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(interval - now % interval)
        self.venue.step()
        if self._market_shaker.is_holding():
            self._publish_market([])

    async def _purge(self) -> None:
        self._journal.purge()
        await asyncio.sleep(_PURGE_EVERY_S)
