"""Running an experiment: from what was asked for to a result.

`experiment` says what to run and refuses what can't be done. `run` runs it: `load` says until when clients go on,
`recovery` waits until the system serves again, `final_phase` reads everything once more, `results` holds the outcome.
`interrupts` ends runs from outside. Begin reading at `run`.
"""
