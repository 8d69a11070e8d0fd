"""Others that do exactly what ingest must do, for `bench.webhooks`: each takes PORT, AMQP_URL, SECRET and EXCHANGE.

The work of one request: HMAC over the raw body against `x-signature`, 403 when it is wrong; publish the body, as a
persistent and mandatory message, under `clickup.task.updated.<integration>`; answer 200 once the broker confirmed it,
503 when it did not or returned it.
"""
