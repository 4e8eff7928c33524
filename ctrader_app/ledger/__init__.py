"""The only writer of the tables. Guarded updates; locks in one order: account, operation, position, order, deal."""
