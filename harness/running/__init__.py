"""Running an experiment: from what was asked for to a result.

`experiment` says what to run and refuses what can't be done. `run` runs it: `interpreter` performs what generators say,
`recorder` writes the history, `recovery` waits until the system serves again, `final_phase` reads everything once more,
`results` holds the outcome. `interrupts` ends runs from outside. Begin reading at `run`.
"""
