"""The sockets' parts: who gets in, what each is fed, and what all of them together want produced."""
