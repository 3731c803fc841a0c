"""One module per library, run by the Python that has it installed: `python -m swarmpeers.workers.X ROLE`.

Every module knows the same roles; `protocol` names them. They import the standard library, their library and
`swarmpeers.workers.protocol`, nothing else of this repository (`swarmrun_worker` is the exception: ours).
"""
