"""The paper venue: seeded prices, real matching, margin, and a ledger in SQLite."""
