# The server with its agents, for Agora channels:
#
#     docker build --platform linux/amd64 --tag trio-voice-agent .
#     docker run --init --stop-timeout 60 --env-file .env --publish 127.0.0.1:8080:8080 \
#         trio-voice-agent
#
# Agora's native library exists for Linux x86_64 only. The server listens on all of the container's
# addresses, so it wants a key (SERVER_API_KEY) in .env. `--init` reaps what an agent may leave, and
# the timeout leaves every agent the time to leave its channel. deploy/compose.yaml says the same,
# and more.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/agent
ENV PATH=/opt/agent/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# What the native library is linked with; here, too, because it is loaded below.
RUN apt-get update && apt-get install --yes --no-install-recommends libc++1 libc++abi1 \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt requirements-agora.txt ./
# Without build isolation: the SDK's setup.py puts its library where the running Python's packages
# are.
RUN pip install --requirement requirements.txt \
    && pip install --no-build-isolation --requirement requirements-agora.txt
# The import looks whether the library is whole and downloads it again where it is not: now, with a
# network and the right to write, rather than in somebody's call.
RUN python -c 'import agora_realtime_ai_api.rtc'
COPY pyproject.toml README.md LICENSE ./
COPY agent agent
COPY server server
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install --yes --no-install-recommends libc++1 libc++abi1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/agent agent
COPY --from=build /opt/agent /opt/agent
ENV PATH=/opt/agent/bin:$PATH PYTHONUNBUFFERED=1 LOG_FORMAT=json SERVER_HOST=0.0.0.0
USER agent
WORKDIR /var/lib/agent
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s CMD \
    python -c "import os, urllib.request as u; \
    u.urlopen(f'http://127.0.0.1:{os.environ.get(\"SERVER_PORT\") or 8080}/healthz', timeout=3)"
CMD ["python", "-m", "server"]
