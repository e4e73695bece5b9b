/** Clients that make Gatehouse keep memory: connections from many addresses of 127.0.0.0/8. */
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls, type TLSSocket } from 'node:tls'

import { LOOPBACK } from '../../dev/loopback.ts'

/** Connections that are opened side by side. */
const PARALLEL = 20

export interface Target {
  readonly port: number
  readonly token: string
}

export interface Load {
  /** The number of connections that the load opens. */
  readonly connections: number
  /** Connections of one address. */
  readonly perAddress: number
  /** Milliseconds to wait after each so many connections, so that no rate limit refuses what follows. */
  readonly pause?: { readonly every: number; readonly milliseconds: number }
  /** Opens one of them and sends what it has to send; undefined when it was refused. */
  readonly open: (target: Target, localAddress: string) => Promise<Socket | undefined>
}

/** Opens all connections of a load. @returns a function that closes them */
export async function apply(load: Load, target: Target): Promise<() => void> {
  const sockets: Socket[] = []
  const { connections, pause } = load
  let next = 0
  const worker = async (end: number): Promise<void> => {
    while (next < end) {
      const index = next++
      const socket = await load.open(target, addressOf(Math.floor(index / load.perAddress)))
      if (socket !== undefined) sockets.push(socket)
    }
  }
  const step = pause?.every ?? connections
  for (let end = step; next < connections; end += step) {
    if (next > 0) await sleep(pause?.milliseconds)
    await Promise.all(Array.from({ length: PARALLEL }, () => worker(Math.min(end, connections))))
  }
  return () => {
    for (const socket of sockets) socket.destroy()
  }
}

function addressOf(index: number): string {
  return `127.1.${Math.floor(index / 250)}.${1 + (index % 250)}`
}

/** Sends bytes over TCP, which begin a TLS handshake. */
export function overTcp(bytes: Buffer): Load['open'] {
  return ({ port }, localAddress) =>
    new Promise((resolve) => {
      const socket = connectTcp({ port, host: LOOPBACK, localAddress })
      socket.once('connect', () => {
        socket.write(bytes)
        resolve(socket)
      })
      socket.on('error', () => resolve(undefined))
    })
}

/** Sends bytes over TLS and never reads. */
export function overTls(
  protocol: 'http/1.1' | 'h2',
  bytes: (target: Target) => Buffer,
): Load['open'] {
  return (target, localAddress) =>
    new Promise((resolve) => {
      const options = { port: target.port, host: LOOPBACK, localAddress }
      const socket: TLSSocket = connectTls({
        ...options,
        rejectUnauthorized: false,
        ALPNProtocols: [protocol],
      })
      socket.once('secureConnect', () => {
        socket.pause()
        socket.write(bytes(target))
        resolve(socket)
      })
      socket.on('error', () => resolve(undefined))
    })
}
