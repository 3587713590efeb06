# The load test in a container: locust and loadtests/, without the server. See deploy/kubernetes/overlays/loadtest.
#
#   docker build -f deploy/docker/loadtest.Dockerfile -t secure-ml-api-loadtest .
#
# The base is the server's.
# checkov:skip=CKV_DOCKER_7:the tag, or the digest, is that of BASE, which checkov does not read
# checkov:skip=CKV_DOCKER_2:it is a job, which ends by itself: there is nobody to be asked how it is
ARG BASE=docker.io/library/python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
WORKDIR /build
RUN python -m venv /opt/loadtest
COPY locks/loadtest.txt locks/
RUN /opt/loadtest/bin/pip install --no-cache-dir --require-hashes -r locks/loadtest.txt \
 && /opt/loadtest/bin/pip uninstall --yes hatch-vcs hatchling editables setuptools-scm vcs-versioning setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="secure-ml-api-loadtest" \
      org.opencontainers.image.description="Load tests of secure-ml-api" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/loadtest/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1
RUN groupadd --gid 10001 loadtest && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin loadtest
COPY --from=build /opt/loadtest /opt/loadtest
WORKDIR /srv
COPY loadtests loadtests
USER 10001:10001
EXPOSE 5557
ENTRYPOINT ["python", "-m", "loadtests"]
