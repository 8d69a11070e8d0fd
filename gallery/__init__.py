"""Program: people and other programs to integrations. Who may do what, the admin API, the page."""
