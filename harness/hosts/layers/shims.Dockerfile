# The libraries that are preloaded into programs, for faults of clocks and disks, and the first process of stock images:
# compiled where the harness runs.
ARG FROM
FROM ${FROM}
COPY *.so idle /usr/local/lib/splitbrain/
