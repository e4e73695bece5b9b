import { join } from 'node:path'

import { proxyFlags, type Peer } from './peer.ts'

/** The package that most Node proxies are based on. */
export const httpProxy: Peer = nodePeer('http-proxy', 'http-proxy 1.18, no checks', ['h1'])

/** The cost of Node itself; the rest is Gatehouse's own. */
export const undiciLoop: Peer = nodePeer('undici', 'bare undici Pool.dispatch, no checks', [
  'h1',
  'h2',
])

function nodePeer(name: string, what: string, protocols: Peer['protocols']): Peer {
  const program = join(import.meta.dirname, '..', 'node', `${name}.ts`)
  return {
    name,
    what,
    protocols,
    servesUpgrades: false,
    isCompiledAtRuntime: true,
    prepare: async () => undefined,
    command: async (world, port) => ({
      file: process.execPath,
      args: [program, ...proxyFlags(world, port)],
    }),
  }
}
