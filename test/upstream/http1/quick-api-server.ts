/**
 * An API server in a thread of its own, whose responses may arrive before this thread does anything
 * else. It responds to each request with 200.
 */
import { once } from 'node:events'
import { createServer } from 'node:tls'
import { parentPort, Worker, workerData } from 'node:worker_threads'

import { createApiServerCertificates } from '../../support/api-server-certificates.ts'

export interface QuickApiServer extends Awaited<ReturnType<typeof createApiServerCertificates>> {
  readonly url: string
  /** Connections so far. */
  readonly connections: () => number
  /** Blocks this thread until so many responses were sent, or one does not come. */
  readonly blockUntil: (responses: number) => void
  readonly close: () => Promise<void>
}

interface Shared {
  readonly cert: string
  readonly key: string
  /** The number of connections, and the number of responses sent. */
  readonly counts: Int32Array
}

const MAX_BLOCKED_MS = 5_000
const RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'

export async function startQuickApiServer(): Promise<QuickApiServer> {
  const certificates = await createApiServerCertificates()
  const counts = new Int32Array(new SharedArrayBuffer(8))
  const { certificatePem: cert, keyPem: key } = certificates.serving
  const shared: Shared = { cert, key, counts }
  const worker = new Worker(import.meta.filename, { workerData: shared })
  const [port] = (await once(worker, 'message')) as [number]
  return {
    ...certificates,
    url: `https://127.0.0.1:${port}`,
    connections: () => Atomics.load(counts, 0),
    blockUntil(responses) {
      for (let sent = 0; sent < responses; sent = Atomics.load(counts, 1)) {
        if (Atomics.wait(counts, 1, sent, MAX_BLOCKED_MS) === 'timed-out') return
      }
    },
    close: async () => {
      await worker.terminate()
    },
  }
}

function serve({ cert, key, counts }: Shared): void {
  const server = createServer({ cert, key, noDelay: true }, (socket) => {
    Atomics.add(counts, 0, 1)
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes: Buffer) => {
      if (!bytes.toString('latin1').endsWith('\r\n\r\n')) throw new Error('more than a head')
      socket.write(RESPONSE, () => {
        Atomics.add(counts, 1, 1)
        Atomics.notify(counts, 1)
      })
    })
  })
  server.listen(0, '127.0.0.1', () => {
    parentPort?.postMessage((server.address() as { port: number }).port)
  })
}

if (parentPort !== null && workerData !== null) serve(workerData as Shared)
