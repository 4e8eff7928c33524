"""The service's endpoints, named once for both ends."""

from enum import Enum


class Endpoint(Enum):
    """HTTP method and path, the path without the deployment's prefix."""

    CONNECT = ("POST", "/connect")
    DISCONNECT = ("POST", "/disconnect")
    ACCOUNT_INFO = ("GET", "/account-info")
    OPEN_POSITIONS = ("GET", "/open-positions")
    SYMBOL_INFO = ("GET", "/symbol-info")
    CANDLES = ("GET", "/candles")
    PRICE = ("GET", "/price")
    SYNC_DATA = ("GET", "/trade/sync-data")
    ORDERS = ("GET", "/orders")
    """Order history; a service need not have it."""
    PLACE = ("POST", "/trade/place")
    CLOSE = ("POST", "/trade/close")
    MODIFY_PROTECTION = ("POST", "/trade/modify-protection")
    CANCEL_ORDER = ("POST", "/order/cancel")
    SUBSCRIBE_PRICE = ("POST", "/subscribe/price")
    UNSUBSCRIBE_PRICE = ("POST", "/unsubscribe/price")
    SUBSCRIBE_CANDLES = ("POST", "/subscribe/candles")
    UNSUBSCRIBE_CANDLES = ("POST", "/unsubscribe/candles")

    @property
    def method(self) -> str:
        """GET or POST."""
        return self.value[0]

    @property
    def path(self) -> str:
        """The path, with its leading slash."""
        return self.value[1]
