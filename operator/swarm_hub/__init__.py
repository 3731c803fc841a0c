"""The hub: the queue over HTTP and the model gateway."""
