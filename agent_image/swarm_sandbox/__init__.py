"""Runs model-written code; standard library only."""
