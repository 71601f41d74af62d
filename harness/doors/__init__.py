"""The doors: how users get in. `cli` is the command `splitbrain`, `plugin` the pytest plugin.

`cli` handles exit codes and signals, under the protection of `guard`. `commands` holds the commands, with `check` and
`listing` for what is long of them, and `words` for suggestions and completion. Begin reading at `commands`.
"""
