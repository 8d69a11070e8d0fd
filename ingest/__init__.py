"""Program: socket to broker."""
