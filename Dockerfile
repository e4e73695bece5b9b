# The image of deploy/kubernetes: node and the files of dist; nothing is written at run time. The
# Node version is the one of package.json, which the tests check.
ARG NODE_IMAGE=node:26.10.0-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
# No scripts of packages run: the `node` package would bring a second Node, and nothing else has any.
RUN npm ci --ignore-scripts
COPY tsconfig.json rolldown.config.ts ./
COPY src ./src
# The libraries that Gatehouse needs are in gatehouse.js; those that only build it stay behind here.
RUN node node_modules/rolldown/bin/cli.mjs -c rolldown.config.ts

FROM ${NODE_IMAGE}
# What installs software is of no use in a running container but to an intruder.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /opt/yarn*
ENV NODE_ENV=production
WORKDIR /opt/gatehouse
COPY package.json LICENSE ./
COPY --from=build /build/dist ./dist
# A number, so that runAsNonRoot can be checked before the container starts. Owns nothing here.
USER 65532:65532
EXPOSE 8443 8081
ENTRYPOINT ["node", "/opt/gatehouse/dist/main.js"]
CMD ["serve", "--config", "/etc/gatehouse/gatehouse.yaml"]
