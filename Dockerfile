# The bridge as a container image: docs/image.md says how it is built, run and tested.

# Any image with Python >= 3.11 as `python3`, its venv module, glibc and CA certificates. A tag, not a digest: no
# registry could be asked where this was written, and a digest nobody has resolved would be invented. Pin it when you
# build: --build-arg BASE=docker.io/library/python@sha256:…
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
# pip and what builds the wheel live in /tools and stay behind; the environment that is shipped has neither.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/bridge
WORKDIR /src

# Packages before sources: a change of the code leaves this layer as it is. Both secrets are optional, for networks
# with a package mirror or a certificate authority of their own (docs/image.md); they reach no layer.
COPY requirements/run-postgres.txt requirements/build.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=ca,target=/run/secrets/ca \
    /tools/bin/pip --python /opt/bridge/bin/python install --only-binary :all: --require-hashes \
        -r requirements/run-postgres.txt \
    && /tools/bin/pip install --only-binary :all: --require-hashes -r requirements/build.txt

COPY pyproject.toml README.md LICENSE ./
COPY manifest manifest
COPY bridge bridge
# Bytecode is checked by nothing at run time: files of an image do not change, and their dates may (a rebuild that
# normalises time stamps would make dated bytecode worthless, and a read-only system could not replace it).
RUN /tools/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /tools/bin/pip --python /opt/bridge/bin/python install --no-index --no-deps /wheel/*.whl \
    && /opt/bridge/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/bridge/lib


FROM ${BASE}
LABEL org.opencontainers.image.title="GoClaw Teams Bridge" \
      org.opencontainers.image.description="The bot through which people in Microsoft Teams talk with their GoClaw agent" \
      org.opencontainers.image.licenses="MIT"

# A fixed id, so that a volume's owner is the same in every version. 0700: the store holds what people wrote.
RUN groupadd --gid 10001 bridge \
    && useradd --no-log-init --uid 10001 --gid bridge --home-dir /data --no-create-home --shell /usr/sbin/nologin bridge \
    && install -d -o bridge -g bridge -m 0700 /data
COPY --from=build /opt/bridge /opt/bridge

# Nothing is written but /data: no bytecode, and the log's lines leave at once. BRIDGE_STORE_CREATE=false belongs to the
# run after the first start, not into the image: the first start makes the store.
ENV PATH=/opt/bridge/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRIDGE_STORE=/data/bridge.db
# The admin listener stays on the container's loopback: only the port of /api/messages is meant to be reached.
EXPOSE 3978
# SQLite's temporary files and `teams-bridge manifest` go to the current folder, so it is the one that can be written.
WORKDIR /data
VOLUME ["/data"]
# By number: Kubernetes' runAsNonRoot cannot judge a name.
USER 10001:10001
STOPSIGNAL SIGTERM
# /readyz: the store and the signing keys. A gateway that is down makes nobody unhealthy.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["teams-bridge", "healthcheck"]
CMD ["teams-bridge", "run"]
