# A system's own Debian packages, on the base. Nothing is started while they are configured.
ARG FROM
FROM ${FROM}
ARG PACKAGES
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
 && apt-get -o Acquire::http::Timeout=10 -o Acquire::Retries=0 update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES \
 && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d
