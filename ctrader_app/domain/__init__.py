"""Pure rules of trading through cTrader. No framework, no I/O, no clock: now is always an argument."""
