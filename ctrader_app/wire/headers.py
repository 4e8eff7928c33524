"""Names of the headers that events carry beside their bodies."""

ACCOUNT_HEADER = "x-ctrader-account"
"""Whose event it is, always in the same spelling: text by which the broker shares market data between our workers,
all of one account's to one of them. Of the publisher's choosing: nobody reads an account out of it."""
