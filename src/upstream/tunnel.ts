/** Joins two upgraded connections: bytes are copied unchanged in both directions until either closes. */
import type { Duplex } from 'node:stream'

export interface TunnelEnd {
  readonly bytesFromClient: number
  readonly bytesToClient: number
  readonly endedBy: 'client' | 'upstream' | 'gatehouse'
  /** Whether both sides ended their stream, rather than one closing abruptly. */
  readonly clean: boolean
}

export interface Tunnel {
  readonly done: Promise<TunnelEnd>
  /** Destroys both connections. */
  cut(): void
}

/** How long the second side may keep sending after the first has ended: a half-close is forwarded. */
const HALF_CLOSED_MS = 60_000

/** Joins the two, each positioned after its HTTP head. */
export function joinTunnel(client: Duplex, upstream: Duplex): Tunnel {
  let bytesFromClient = 0
  let bytesToClient = 0
  let endedBy: TunnelEnd['endedBy'] | undefined
  let timer: NodeJS.Timeout | undefined
  const ended = new Set<Duplex>()

  const done = new Promise<TunnelEnd>((resolve) => {
    let open = 2
    const closed = (side: Duplex, other: Duplex, name: 'client' | 'upstream'): void => {
      endedBy ??= name
      // After an `end`, the other side may still read what was written to it.
      if (!ended.has(side)) other.destroy()
      open -= 1
      if (open > 0) return
      clearTimeout(timer)
      resolve({ bytesFromClient, bytesToClient, endedBy, clean: ended.size === 2 })
    }
    client.once('close', () => closed(client, upstream, 'client'))
    upstream.once('close', () => closed(upstream, client, 'upstream'))
  })

  const pump = (
    from: Duplex,
    to: Duplex,
    count: (bytes: number) => void,
    name: 'client' | 'upstream',
  ): void => {
    from.on('data', (chunk: Buffer) => {
      count(chunk.length)
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => from.resume())
    from.on('end', () => {
      ended.add(from)
      endedBy ??= name
      to.end()
      timer ??= setTimeout(() => {
        from.destroy()
        to.destroy()
      }, HALF_CLOSED_MS).unref()
    })
    from.on('error', () => from.destroy())
    from.resume()
  }
  pump(client, upstream, (bytes) => (bytesFromClient += bytes), 'client')
  pump(upstream, client, (bytes) => (bytesToClient += bytes), 'upstream')

  return {
    done,
    cut() {
      endedBy ??= 'gatehouse'
      client.destroy()
      upstream.destroy()
    },
  }
}
