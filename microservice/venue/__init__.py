"""Venues: what can stand behind the HTTP and AMQP front."""
