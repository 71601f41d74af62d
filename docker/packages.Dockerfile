# What the store imports, fetched by the host's pip: a node has no network. A layer of its own, below the store, so
# that a change in the store rebuilds only the store.
ARG FROM
FROM ${FROM}
COPY packages/ /opt/splitbrain/packages/
RUN python3 -m compileall -q /opt/splitbrain/packages
