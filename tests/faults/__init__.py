"""The fault cards: one fault each, on real servers and processes; the venue counts what really happened."""
