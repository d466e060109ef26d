"""A project's own files: settings in pyproject.toml and the adapters manifest."""
