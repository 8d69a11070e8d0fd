"""What docs/deploying.md says, done."""
