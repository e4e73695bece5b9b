/** What a kill under load loses in each mode of the audit log: events of writes, counted by Audit-ID. */
import { readFile } from 'node:fs/promises'
import { Agent, createServer, request } from 'node:https'
import { join } from 'node:path'

import { listenOnLoopback, LOOPBACK } from '../dev/loopback.ts'
import { AUDIT_LOG } from './peers/gatehouse.ts'
import type { Peer } from './peers/peer.ts'
import { startProcess } from './processes.ts'
import { waitUntilReady } from './ready.ts'
import { paths, type World } from './world.ts'

const CLIENTS = 16

export interface Loss {
  /** Writes whose response the client got, and those of them without any event. */
  acknowledged: number
  acknowledgedWithoutEvent: number
  /** Writes that reached the API server, and those of them without any event. */
  carriedOut: number
  carriedOutWithoutEvent: number
}

/** Kills a new Gatehouse with SIGKILL at the moment at which it has acknowledged so many writes. */
export async function measureLoss(world: World, peer: Peer, writes: number): Promise<Loss> {
  const upstream = await startUpstream(world)
  let directory = ''
  const process = await startProcess(peer.name, (port, ownDirectory) => {
    directory = ownDirectory
    return peer.command(
      { ...world, upstream: { ...world.upstream, url: upstream.url } },
      port,
      ownDirectory,
    )
  })
  const killed = process.failed.catch(() => undefined)
  try {
    const { token } = world.issuer
    const target = { url: process.url, path: paths.pod, caFile: world.ca.certFile, token }
    await waitUntilReady(target)
    upstream.received.clear()
    const acknowledged = await sendUntilKilled(target, process.pid, writes)
    await killed
    const events = await recorded(join(directory, AUDIT_LOG))
    const withoutEvent = (ids: ReadonlySet<string>): number =>
      [...ids].filter((id) => !events.has(id)).length
    return {
      acknowledged: acknowledged.size,
      acknowledgedWithoutEvent: withoutEvent(acknowledged),
      carriedOut: upstream.received.size,
      carriedOutWithoutEvent: withoutEvent(upstream.received),
    }
  } finally {
    await process.stop()
    upstream.close()
  }
}

/** An API server that notes the Audit-ID of each request that it receives. */
async function startUpstream({ serving }: World) {
  const received = new Set<string>()
  const server = createServer({
    cert: await readFile(serving.certFile),
    key: await readFile(serving.keyFile),
  })
  server.on('request', (incoming, response) => {
    const auditID = incoming.headers['audit-id']
    if (typeof auditID === 'string') received.add(auditID)
    const username = incoming.headers['impersonate-user'] ?? 'gatehouse'
    incoming.resume().once('end', () => {
      response.writeHead(incoming.method === 'POST' ? 201 : 200, {
        'content-type': 'application/json',
      })
      // All writes are reviews: those of Gatehouse's own readiness checks, and those of the load.
      response.end(
        JSON.stringify({ kind: 'SelfSubjectReview', status: { userInfo: { username } } }),
      )
    })
  })
  const url = `https://${LOOPBACK}:${await listenOnLoopback(server)}`
  const close = (): void => {
    server.close()
    server.closeAllConnections()
  }
  return { url, received, close }
}

/** Returns the Audit-IDs of the writes whose response had begun when the process ended. */
async function sendUntilKilled(
  { url, caFile, token }: { url: string; caFile: string; token: string },
  pid: number,
  writes: number,
): Promise<ReadonlySet<string>> {
  const acknowledged = new Set<string>()
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS, ca: await readFile(caFile) })
  const post = (): Promise<void> =>
    new Promise((done, fail) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const outgoing = request(
        new URL(paths.review, url),
        { method: 'POST', agent, headers },
        (response) => {
          if (response.statusCode !== 201) throw new Error(`a write got ${response.statusCode}`)
          acknowledged.add(String(response.headers['audit-id']))
          if (acknowledged.size === writes) process.kill(pid, 'SIGKILL')
          response.resume().once('close', done)
        },
      )
      outgoing.once('error', fail)
      outgoing.end('{}')
    })
  const lane = async (): Promise<void> => {
    for (;;) await post()
  }
  // Each ends with the connection error that follows the kill.
  await Promise.allSettled(Array.from({ length: CLIENTS }, lane))
  agent.destroy()
  return acknowledged
}

/** The Audit-IDs of the whole lines in the file. */
async function recorded(file: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile(file, 'utf8')).split('\n').slice(0, -1)
  return new Set(lines.map((line) => (JSON.parse(line) as { auditID: string }).auditID))
}
