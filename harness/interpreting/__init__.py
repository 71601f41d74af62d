"""Interpreting generators: performing what they say, at the time they say, and recording what happened.

`interpreter` performs operations, `injection` one of the nemesis; `validation` names every problem of a bad operation,
`recorder` writes the history. Begin reading at `interpreter`.
"""
