"""Hosts that somebody else has set up, and that one logs in to: the environment `ssh`.

`hosts_file` reads who they are, `host_keys` says by which keys they are known. `remote_environment` logs in, and sees
what they lack (`host_needs`). `stay` takes them for a run and gives them back as they were; `lease` has a host heal by
itself if the harness is gone; `remote_leftovers` removes what dead runs have left. Begin reading at
`remote_environment`.
"""
