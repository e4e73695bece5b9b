/** The Go peers: the goals are ratios to them. */
import { audience } from '../issuer.ts'
import { benchProgram, type World } from '../world.ts'
import { proxyFlags, type Peer } from './peer.ts'

const both = ['h1', 'h2'] as const
const nothingMissing = async () => undefined

/** httputil.ReverseProxy that forwards and does nothing else. */
export const reverseProxy: Peer = {
  name: 'go',
  what: 'Go httputil.ReverseProxy, no checks, 512 idle connections kept',
  protocols: both,
  isCompiledAtRuntime: false,
  prepare: nothingMissing,
  command: async (world, port) => ({
    file: await benchProgram('reverseproxy'),
    args: proxyFlags(world, port),
  }),
}

/** The machinery of kube-oidc-proxy, with the pool of connections sized. */
export const oidcProxy: Peer = {
  name: 'oidcproxy',
  what: 'kube-oidc-proxy’s machinery (apiserver OIDC, ReverseProxy, client-go), same pool',
  protocols: both,
  isCompiledAtRuntime: false,
  prepare: nothingMissing,
  command: async (world, port) => ({
    file: await benchProgram('oidcproxy'),
    args: [...proxyFlags(world, port), ...oidcFlags(world)],
  }),
}

/** The same with Go's default of two idle connections a host, which kube-oidc-proxy has. */
export const oidcProxyDefaultPool: Peer = {
  ...oidcProxy,
  name: 'oidcproxy-2',
  what: 'the same with the 2 idle connections of net/http, as kube-oidc-proxy has it',
  command: async (world, port) => ({
    file: await benchProgram('oidcproxy'),
    args: [...proxyFlags(world, port), ...oidcFlags(world), '--max-idle-connections=2'],
  }),
}

function oidcFlags(world: World): string[] {
  return [
    `--issuer=${world.issuer.url}`,
    `--issuer-ca=${world.ca.certFile}`,
    `--audience=${audience}`,
  ]
}
