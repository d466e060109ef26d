"""The fix: from failing cases to a new adapter that has proved itself on the suite."""
