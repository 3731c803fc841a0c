"""Pure builders of a run's objects, one module per object."""
