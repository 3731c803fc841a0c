"""The Kopf operator."""
