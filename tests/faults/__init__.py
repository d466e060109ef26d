"""Faults that users met, each as one test in a user's words, so that its whole kind stays away."""
