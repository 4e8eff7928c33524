"""Synchronous HTTP to the service: reads that raise rather than guess, writes that tell what is proven."""

from ctrader_app.connector.client import CTraderClient
from ctrader_app.connector.config import AccountRef, ConnectorConfig
from ctrader_app.connector.shared import close_shared_clients, shared_client

__all__ = ["AccountRef", "CTraderClient", "ConnectorConfig", "close_shared_clients", "shared_client"]
