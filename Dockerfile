# Two images from one file:
#   docker build --target api    -t cultivar-api .      the API, without torch
#   docker build --target worker -t cultivar-worker .   the same and what trains
# Both run as a user of their own, and with a read-only root where /tmp and the home are writable.

FROM python:3.11-slim-bookworm AS python
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

FROM python AS built-api
# With PyTorch's index of CPU builds here, the worker's image comes without CUDA and much smaller.
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /src
RUN python -m venv /opt/cultivar
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY app app
COPY models models
COPY workers workers
RUN /opt/cultivar/bin/pip install --no-cache-dir -c constraints.txt .

FROM built-api AS built-worker
RUN /opt/cultivar/bin/pip install --no-cache-dir -c constraints.txt '.[worker,text]'

FROM python AS runtime
RUN groupadd --gid 10001 cultivar \
    && useradd --uid 10001 --gid cultivar --no-create-home --home-dir /var/lib/cultivar cultivar \
    && install -d -o cultivar -g cultivar -m 0700 /var/lib/cultivar
ENV PATH=/opt/cultivar/bin:$PATH \
    CULTIVAR_HOME=/var/lib/cultivar \
    # Where torch and matplotlib would write caches under a home that may be read-only.
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /var/lib/cultivar
USER 10001:10001
VOLUME /var/lib/cultivar
STOPSIGNAL SIGTERM

FROM runtime AS api
COPY --from=built-api /opt/cultivar /opt/cultivar
# Every interface of the container; what is published outside is the operator's decision.
ENV CULTIVAR_HOST=0.0.0.0 \
    CULTIVAR_PORT=8321
EXPOSE 8321
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-m", "app.health", "api"]
CMD ["python", "-m", "app", "api"]

FROM runtime AS worker
COPY --from=built-worker /opt/cultivar /opt/cultivar
# Models that jobs pull outlive the container, in its volume.
ENV OMP_WAIT_POLICY=PASSIVE \
    HF_HOME=/var/lib/cultivar/hub
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "app.health", "worker"]
CMD ["python", "-m", "workers"]
