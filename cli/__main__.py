"""`python -m cli` is `kb-ingest`."""

from cli.main import main

main()
