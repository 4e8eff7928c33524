"""Use-cases: the only place where HTTP and the database meet, and never both at once."""
