"""Nodes in containers of a Docker engine: the environment `docker`, its images, and what killed runs have left.

Begin reading at `docker`. `python -m splitbrain.harness.hosts.containers.image` builds the node images.
"""
