"""The paper venue's control endpoints, with prices that can be held still."""

from tests.support.operations import Venue


class SystemVenue(Venue):
    """Use it in a with statement, or `end` it."""

    def hold(self, symbol: str, bid: float) -> None:
        """Set a symbol's bid; it stays there."""
        self._market(symbol=symbol, bid=bid, hold=True)

    def let_go(self, symbol: str) -> None:
        """Let a held price walk again."""
        self._market(symbol=symbol, hold=False)

    def _market(self, **body: object) -> None:
        self._checked(self._session.post(f"{self.base_url}/_market", json=body, timeout=5))

    def end(self) -> None:
        """Close the connection."""
        self._session.close()
