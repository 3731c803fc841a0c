"""Errors of the cluster tool; the class says what happens next."""

from __future__ import annotations


class ClusterError(Exception):
    """Base of all expected failures: the command line prints the message and exits 1."""


class UsageError(ClusterError):
    """The caller asked for something that cannot be; nothing was changed."""


class PreflightError(ClusterError):
    """The machine lacks something; the message lists every problem with its remedy."""


class CommandError(ClusterError):
    """A program that the tool ran failed or took too long; the message carries its last output."""


class StartError(ClusterError):
    """A component did not become ready in time; what this call started is torn down."""
