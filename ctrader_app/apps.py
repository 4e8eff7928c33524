"""The Django app: it registers its platform, and has its commits waited for."""

from django.apps import AppConfig

from connectors.factory import register_connector


class CTraderConfig(AppConfig):
    """cTrader behind TradingService."""

    name = "ctrader_app"
    label = "ctrader_app"
    verbose_name = "cTrader"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from ctrader_app.ledger import durability  # noqa: PLC0415 - it needs the tables, which are ready only now

        # A dotted path: importing the platform here would load the tables before Django is ready for it.
        register_connector("ctrader", "ctrader_app.platform.connector.CTraderPlatform")
        durability.install()
