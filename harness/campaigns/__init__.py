"""Campaigns: thousands of experiments from one seed, and the harness's own score on planted defects.

Begin with `plan`, which says what is run. `campaign` runs it on the `workers` and keeps each outcome in `outcomes`.
`signature` tells failures apart. `situations` says what the runs met, and `summary_page` shows all of it.
`mutation` runs the same plan against every defect that a system publishes.
"""
