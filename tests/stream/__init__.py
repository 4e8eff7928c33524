"""The stream worker, part by part and as a whole, in memory and on RabbitMQ."""
