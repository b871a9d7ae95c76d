# The compute service.
#
#   docker build -f deploy/docker/compute.Dockerfile -t alto-compute .
#
# RELEASES=prebuilt takes the release from dist/releases, where `npm run build` put it, instead of building it here.
ARG RELEASES=built

FROM node:24-slim AS built
WORKDIR /alto
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.base.json ./
COPY tools ./tools
COPY libs ./libs
COPY apps ./apps
RUN npm run --silent build -- compute && mv dist/releases/compute /releases

FROM node:24-slim AS prebuilt
COPY dist/releases/compute /releases

FROM ${RELEASES} AS release
RUN version=$(cat /releases/current) \
 && mv "/releases/$version" /release \
 && echo "ALTO_SERVICE_VERSION=$version" >/release/version.env

FROM node:24-slim
RUN install -d -o 1000 -g 1000 /run/alto /var/lib/alto
COPY --from=release /release /opt/alto
WORKDIR /opt/alto
ENV NODE_ENV=production \
    ALTO_HTTP_HOST=0.0.0.0 \
    ALTO_HTTP_PORT=4100 \
    ALTO_STATE_DIR=/var/lib/alto
USER 1000:1000
EXPOSE 4100
# What bootstrap has handed over; the container's environment comes first.
ENTRYPOINT ["node", "--disable-warning=ExperimentalWarning", "--max-semi-space-size=4", \
  "--env-file=version.env", "--env-file-if-exists=/run/alto/service.env", "main.mjs"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=24 \
  CMD ["node", "-e", "require('node:http').get('http://127.0.0.1:' + process.env.ALTO_HTTP_PORT + '/readyz', ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
