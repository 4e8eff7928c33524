"""Production's shape: five processes over RabbitMQ, Redis and PostgreSQL."""
