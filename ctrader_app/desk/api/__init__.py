"""The JSON API: TradingService over HTTP."""
