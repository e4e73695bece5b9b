/** A small CONNECT proxy on loopback that records what went through. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import type { KeyPair } from '../../certs-dev/pki.ts'

export interface EgressProxy {
  readonly port: number
  /** The heads of the requests to the proxy. */
  readonly requests: string[]
  /** What clients sent through their tunnels. */
  tunneled: string
  /** Replaces the tunnel: what the proxy responds with, `''` for nothing at all. */
  response: string | undefined
  close(): Promise<void>
}

/**
 * @param target port of 127.0.0.1 to which every tunnel leads, whatever name is asked for
 * @param tls for a proxy that is itself reached over TLS
 */
export async function startEgressProxy(target: number, tls?: KeyPair): Promise<EgressProxy> {
  const sockets = new Set<Socket>()
  const proxy = { requests: [] as string[], tunneled: '', response: undefined } as Omit<
    EgressProxy,
    'port' | 'close'
  >

  function keep(socket: Socket): void {
    sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => sockets.delete(socket))
  }

  function serve(socket: Socket): void {
    keep(socket)
    let head = ''
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1')
      if (!head.includes('\r\n\r\n')) return
      socket.off('data', onData)
      proxy.requests.push(head)
      if (proxy.response !== undefined) {
        if (proxy.response !== '') socket.end(proxy.response)
        return
      }
      const upstream = connect(target, '127.0.0.1')
      keep(upstream)
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.on('data', (bytes: Buffer) => (proxy.tunneled += bytes.toString('latin1')))
      socket.pipe(upstream).pipe(socket)
    }
    socket.on('data', onData)
  }

  const server =
    tls === undefined
      ? createServer(serve)
      : createTlsServer({ cert: tls.certificatePem, key: tls.keyPem }, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(proxy, {
    port: (server.address() as AddressInfo).port,
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  })
}
