# The same, where the harness's machine can't compile for its nodes: in a stage that the image does not keep.
ARG FROM
FROM ${FROM} AS compiler
RUN command -v gcc >/dev/null || { apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev; }
COPY *.c /shims/
ARG FLAGS
ARG IDLE_FLAGS
RUN for source in /shims/*_shim.c; do gcc ${FLAGS} -o "${source%.c}.so" "$source" || exit 1; done \
 && gcc ${IDLE_FLAGS} -o /shims/idle /shims/idle.c
FROM ${FROM}
COPY --from=compiler /shims/*.so /shims/idle /usr/local/lib/splitbrain/
