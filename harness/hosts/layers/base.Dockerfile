# The base of the node image, from a Debian or Python image: the same packages that base.sh puts in.
ARG FROM
FROM ${FROM}
ARG PACKAGES
RUN apt-get update \
 && if command -v python3 >/dev/null; then PACKAGES=$(echo " $PACKAGES " | sed 's/ python3 / /'); fi \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES \
 && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*
