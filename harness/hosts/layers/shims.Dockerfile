# The libraries that are preloaded into programs, for faults of clocks and disks: compiled where the harness runs.
ARG FROM
FROM ${FROM}
COPY *.so /usr/local/lib/splitbrain/
