# Tortie as a container image. `npm run image` calls this where docker, podman or buildah is; amd64 and arm64: nothing here names a
# processor, each stage runs as the platform that is built (`--platform linux/arm64`, by emulation on another one).
#
#   BASE    what the result runs on: any Debian with packages nodejs (20.19 or newer), iptables, nftables and ipset, or one that has them
#   BUILD   what compiles it; nothing of it stays
ARG BASE=docker.io/library/debian:trixie-slim
ARG BUILD=docker.io/library/node:22-trixie

FROM ${BUILD} AS build
RUN apt-get update && apt-get install -y --no-install-recommends musl-tools linux-libc-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN npm ci --no-audit --no-fund && npx tsc -b && node scripts/build-cni.mjs && node scripts/image/layer.mjs /out

FROM ${BASE}
RUN command -v node && command -v iptables-nft && command -v nft || { \
      apt-get update && \
      apt-get install -y --no-install-recommends nodejs iptables nftables ipset ca-certificates && \
      rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*; }
COPY --from=build /out/ /
# A node whose agent may enter network namespaces has nothing to gain from another user: which capabilities are left is in the DaemonSet.
ENTRYPOINT ["/usr/bin/node", "--max-semi-space-size=4", "/opt/tortie/dist/src/cli.js"]
LABEL org.opencontainers.image.title=tortie org.opencontainers.image.licenses=Apache-2.0
