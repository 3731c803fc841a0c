"""A real Kubernetes node (or only its control plane) from package registries, for demo and tests."""
