"""A ClickUp workspace in memory: API, signed webhooks and faults, to develop, test and demo against."""
