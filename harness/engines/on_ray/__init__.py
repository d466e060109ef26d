"""An engine on a Ray cluster: one actor for each replica of the model, with another engine of this project inside."""
