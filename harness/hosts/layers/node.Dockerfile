# The node image: sshd as the main process, and the system's own files.
#
# No key is in it: the harness puts a host key and an authorized key, made for the run, into each container before
# the container is started.
ARG FROM
FROM ${FROM}
ENV PYTHONPATH=/opt/splitbrain:/opt/splitbrain/packages
COPY root/ /
# Programs that run as a user of their own pass through to their data.
RUN mkdir -p -m 700 /root/.ssh /var/log/splitbrain \
 && mkdir -p -m 711 /var/lib/splitbrain \
 && mkdir -p -m 755 /run/sshd /opt/splitbrain \
 && python3 -m compileall -q /opt/splitbrain -x /opt/splitbrain/packages
CMD ["/usr/sbin/sshd", "-D", "-e"]
