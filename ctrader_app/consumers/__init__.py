"""Both ends of the stream: the worker that reads the broker, and the sockets that browsers open."""
