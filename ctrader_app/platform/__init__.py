"""cTrader as a platform of TradingService: reads go to the connector, writes to the command queue."""
