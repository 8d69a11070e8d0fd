"""Real servers for the suite: a private RabbitMQ and a private PostgreSQL that tests may kill and freeze."""
