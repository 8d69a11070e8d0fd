"""Who we talk to: providers, their settings, and the sealing of both."""
