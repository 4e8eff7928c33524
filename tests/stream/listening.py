"""A web process's end of the channel layer, without sockets: what each group is handed."""

import asyncio
import json
import threading
from collections.abc import Hashable
from types import TracebackType
from typing import Any, Self

from ctrader_app.consumers.sockets.hub import hub


class _Page:
    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self._frames = frames

    def offer(self, key: Hashable, text: str) -> None:
        self._frames.append(json.loads(text)["data"])


class Listening:
    """Joins groups of this process's channel layer, on a loop of its own, within a with statement.

    ``heard`` is the content of each frame by group, in order.
    """

    def __init__(self, layer: Any, *groups: str) -> None:
        self.heard: dict[str, list[dict[str, Any]]] = {group: [] for group in groups}
        self._layer = layer
        self._pages = {group: _Page(frames) for group, frames in self.heard.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-listening")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._join(), self._loop).result(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._leave(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def last(self, group: str) -> dict[str, Any]:
        """The last thing that the group was handed; empty before the first."""
        return self.heard[group][-1] if self.heard[group] else {}

    async def _join(self) -> None:
        for group, page in self._pages.items():
            await hub().join(group, page)

    async def _leave(self) -> None:
        for group, page in self._pages.items():
            await hub().leave(group, page)
        await self._layer.flush()
