/** The Go peers, to which most goals are ratios. */
import { AUDIENCE } from '../issuer.ts'
import { benchProgram, type World } from '../world.ts'
import { proxyFlags, type Peer } from './peer.ts'

const bothProtocols = ['h1', 'h2'] as const
const nothingMissing = async () => undefined

/** httputil.ReverseProxy, which only forwards. */
export const reverseProxy: Peer = {
  name: 'go',
  what: 'Go httputil.ReverseProxy, no checks, 512 idle connections kept',
  protocols: bothProtocols,
  servesUpgrades: true,
  isCompiledAtRuntime: false,
  prepare: nothingMissing,
  command: async (world, port) => ({
    file: await benchProgram('reverseproxy'),
    args: proxyFlags(world, port),
  }),
}

/** The components of kube-oidc-proxy, with a large connection pool. */
export const oidcProxy: Peer = {
  name: 'oidcproxy',
  what: 'the components of kube-oidc-proxy (apiserver OIDC, ReverseProxy, client-go), same pool',
  protocols: bothProtocols,
  servesUpgrades: true,
  isCompiledAtRuntime: false,
  prepare: nothingMissing,
  command: async (world, port) => ({
    file: await benchProgram('oidcproxy'),
    args: [...proxyFlags(world, port), ...oidcFlags(world)],
  }),
}

/** The same with Go's default of two idle connections per host, as in kube-oidc-proxy. */
export const oidcProxyDefaultPool: Peer = {
  ...oidcProxy,
  name: 'oidcproxy-2',
  what: 'the same with the 2 idle connections that net/http keeps, as in kube-oidc-proxy',
  command: async (world, port) => ({
    file: await benchProgram('oidcproxy'),
    args: [...proxyFlags(world, port), ...oidcFlags(world), '--max-idle-connections=2'],
  }),
}

function oidcFlags(world: World): string[] {
  return [
    `--issuer=${world.issuer.url}`,
    `--issuer-ca=${world.ca.certFile}`,
    `--audience=${AUDIENCE}`,
  ]
}
