"""The suite: `make test` runs it against a real RabbitMQ and a real PostgreSQL."""
