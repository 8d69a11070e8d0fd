"""The image and the compose file, run by an engine."""
