"""The admin API, a file a subject; `app.py` puts them below `/api/v1`."""
