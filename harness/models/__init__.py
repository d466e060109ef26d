"""Base models and adapters: where they are, what they contain, how a prompt becomes token ids."""
