/** Two upgraded connections joined: bytes pass both ways untouched, until either side is gone. */
import type { Duplex } from 'node:stream'

export interface TunnelEnd {
  readonly bytesFromClient: number
  readonly bytesToClient: number
  readonly endedBy: 'client' | 'upstream' | 'gatehouse'
  /** Whether both sides said goodbye, rather than one breaking off. */
  readonly clean: boolean
}

export interface Tunnel {
  readonly done: Promise<TunnelEnd>
  /** Breaks both off. */
  cut(): void
}

/** Milliseconds for the other side to finish after one has (half-close is passed on, not awaited for ever). */
const HALF_CLOSED_MS = 60_000

/** Joins the two; both have been read up to the end of their heads. */
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
      // Whatever the other side still has to read was handed over by `end`; without one, it is cut.
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
