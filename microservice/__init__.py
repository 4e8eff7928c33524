"""The bundled cTrader microservice: the HTTP and AMQP contract over a venue (here: the paper venue)."""
