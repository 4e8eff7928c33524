"""How this process reaches the microservice for an account."""

from ctrader_app.conf import get_settings
from ctrader_app.connector import AccountRef, ConnectorConfig, CTraderClient, shared_client
from ctrader_app.models import TradingAccount


def client() -> CTraderClient:
    """The process-wide pooled client for the settings in force."""
    settings = get_settings()
    return shared_client(
        ConnectorConfig(
            base_url=settings.api_base_url,
            prefix=settings.api_prefix,
            secret=settings.internal_shared_secret,
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        )
    )


def ref_of(account: TradingAccount) -> AccountRef:
    """What the client needs to know of an account."""
    return AccountRef(wire_id=account.wire_id, internal_id=str(account.pk), access_token=account.access_token or "")


def longest_write_s() -> float:
    """No living sender takes longer: the write, one reconnect, the write again, and a margin for a slow machine."""
    settings = get_settings()
    return 3 * (settings.connect_timeout_s + settings.read_timeout_s) + 10
