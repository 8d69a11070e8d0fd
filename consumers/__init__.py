"""Program: broker to knowledge base."""
