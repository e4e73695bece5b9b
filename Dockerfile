# The image for deploy/kubernetes: Node and the files of dist. Nothing is written at run time. A test
# checks that the Node version is the one in package.json.
ARG NODE_IMAGE=node:26.10.0-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No package scripts: only the `node` package has one, and it would install a second Node.
RUN npm ci --ignore-scripts
COPY tsconfig.json rolldown.config.ts ./
COPY build ./build
COPY certs-dev ./certs-dev
COPY src ./src
# gatehouse.cjs contains the libraries that Gatehouse needs; build-time packages stay in this stage.
RUN node node_modules/rolldown/bin/cli.mjs -c rolldown.config.ts

FROM ${NODE_IMAGE}
# Package managers in a running container are of use only to an attacker.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /opt/yarn*
# With one arena, what the threads of Node have freed is used again by all: docs/performance.md.
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /opt/gatehouse
COPY package.json LICENSE ./
COPY --from=build /build/dist ./dist
# A number, so that runAsNonRoot can be checked before the container starts. It owns no files here.
USER 65532:65532
EXPOSE 8443 8081
# With --disable-sigusr1, no other process of this user can open Node's debugger. The other options save
# memory, and time at the start: docs/performance.md.
ENTRYPOINT ["node", "--disable-sigusr1", "--min-semi-space-size=4", "--max-semi-space-size=8", "/opt/gatehouse/dist/main.js"]
CMD ["serve", "--config", "/etc/gatehouse/gatehouse.yaml"]
