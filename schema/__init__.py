"""What rests: migrations, reviewed SQL, and the few functions that run it."""
