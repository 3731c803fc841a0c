"""What a model call costs the hub, measured."""
