# The Python distributions that the system's nodes import, fetched by the host's pip: a node has no network. A layer of
# its own, below the system's files, so that a change in those rebuilds only the last layer.
ARG FROM
FROM ${FROM}
COPY packages/ /opt/splitbrain/packages/
RUN python3 -m compileall -q /opt/splitbrain/packages
