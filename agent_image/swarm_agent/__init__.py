"""The agent worker.

One loop (`worker`): claim a task, keep its lease alive, make one attempt (`attempt`), report. An attempt
gathers context from a clone, asks the model through the hub, reads the answer into a draft in memory, has
it checked in the sandbox, and ends in a change set or in an exception that says what the queue is to be
told (`errors`).
"""
