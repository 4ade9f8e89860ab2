# The service in one image: nginx, the pool and its tools. Built by scripts/image.
ARG BASE_IMAGE=debian:13-slim

# --- compiled and tested here; the binary and the names of its libraries' packages go on ---
FROM ${BASE_IMAGE} AS build
WORKDIR /src
ENV DEBIAN_FRONTEND=noninteractive
COPY Makefile ./
COPY scripts/deps scripts/
RUN --mount=type=secret,id=apt-sources,target=/etc/apt/sources.list.d/machine.list \
    --mount=type=secret,id=apt-conf,target=/etc/apt/apt.conf.d/99machine \
    scripts/deps build unit
COPY . .
ARG VERSION
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
RUN SOURCE_DATE_EPOCH=$(date -d "$CREATED" +%s) && export SOURCE_DATE_EPOCH REVISION \
    && make build unit ${VERSION:+VERSION="$VERSION"} \
    && objcopy --only-keep-debug --compress-debug-sections build/fcgi-webapp build/fcgi-webapp.debug \
    && objcopy --strip-all --add-gnu-debuglink=build/fcgi-webapp.debug build/fcgi-webapp \
    && scripts/runtime-packages build/fcgi-webapp > build/runtime-packages

# --- the image ---
FROM ${BASE_IMAGE}
COPY --from=build /src/build/runtime-packages /opt/fcgi-webapp/
# apt leaves lists, logs and caches, which nobody reads in an image. --no-upgrade: libc6 stays that of the base.
RUN --mount=type=secret,id=apt-sources,target=/etc/apt/sources.list.d/machine.list \
    --mount=type=secret,id=apt-conf,target=/etc/apt/apt.conf.d/99machine \
    export DEBIAN_FRONTEND=noninteractive \
    && apt-get update -q \
    && apt-get install -qy --no-install-recommends --no-upgrade nginx libfcgi-bin $(cat /opt/fcgi-webapp/runtime-packages) \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /var/www /etc/nginx/sites-* \
    && install -d -o 10001 -g 10001 -m 0770 /run/fcgi-webapp /var/lib/fcgi-webapp

WORKDIR /opt/fcgi-webapp
COPY LICENSE ./
COPY nginx nginx
COPY scripts/run scripts/nginx scripts/nginx-quit scripts/nginx-conf scripts/
COPY scripts/entrypoint scripts/stress /usr/local/bin/
COPY --from=build /src/build/fcgi-webapp /usr/local/bin/
# For scripts/symbolize and gdb.
COPY --from=build /src/build/fcgi-webapp.debug /usr/lib/debug/usr/local/bin/
# Whatever umask the checkout was made with.
RUN chmod -R a+rX /opt/fcgi-webapp /usr/local/bin

# Every address of the pod, since Prometheus is outside of it. Two nginx workers, whatever the node has.
ENV LISTEN=0.0.0.0 \
    NGINX_WORKERS=2 \
    PROGRAM=/usr/local/bin/fcgi-webapp \
    QUIET=1 \
    RUN_DIR=/run/fcgi-webapp \
    FCGI_WEBAPP_SOCKET=/run/fcgi-webapp/app.sock \
    FCGI_WEBAPP_METRICS_SOCKET=/run/fcgi-webapp/metrics.sock \
    FCGI_WEBAPP_METRICS_FILE=/var/lib/fcgi-webapp/counters
# The two places that it writes to: with them the root may be read-only.
VOLUME ["/run/fcgi-webapp", "/var/lib/fcgi-webapp"]
EXPOSE 8081 8000
USER 10001:10001
ENTRYPOINT ["entrypoint"]
CMD ["serve-all"]
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["entrypoint", "health"]

ARG VERSION
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fcgi-webapp" \
      org.opencontainers.image.description="A web service in C: nginx, a pre-forked libfcgi pool, metrics" \
      org.opencontainers.image.url="https://github.com/fcgi-webapp/fcgi-webapp" \
      org.opencontainers.image.source="https://github.com/fcgi-webapp/fcgi-webapp" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
