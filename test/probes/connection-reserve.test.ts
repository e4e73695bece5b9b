import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { createMetrics } from '../../src/metrics.ts'
import { indexToEvict, type Occupant } from '../../src/probes/connection-reserve.ts'
import { startProbes, type Probes } from '../../src/probes/probes.ts'

describe('beyond the limit, the evicted connection is', () => {
  const idle = (address: string): Occupant => ({ address, busy: false })
  const busy = (address: string): Occupant => ({ address, busy: true })

  test.for<readonly [which: string, occupants: readonly Occupant[], index: number]>([
    ['the oldest idle one of the only address with several', [busy('a'), idle('a'), idle('a')], 1],
    [
      'one of the address with the most connections',
      [idle('a'), idle('b'), idle('b'), idle('c')],
      1,
    ],
    ['the oldest when all of that address are busy', [idle('a'), busy('b'), busy('b')], 1],
    ['the oldest when every address has one', [idle('a'), idle('b')], 0],
  ])('%s', ([, occupants, index]) => {
    expect(indexToEvict(occupants)).toBe(index)
  })
})

describe('the probes listener', () => {
  let probes: Probes
  const sockets: Socket[] = []

  beforeEach(async () => {
    probes = await startProbes(
      { address: '127.0.0.1', port: 0, checks: () => [] },
      { metrics: createMetrics({ processMetrics: false }) },
    )
  })

  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy()
    await probes.close()
  })

  async function occupy(localAddress: string): Promise<Socket> {
    const socket = connect({ port: probes.address.port, host: '127.0.0.1', localAddress })
    socket.on('error', () => undefined)
    sockets.push(socket)
    await once(socket, 'connect')
    return socket
  }

  test.for(['127.0.0.2', '127.0.0.1'])(
    'responds to a probe from 127.0.0.1 however many connections %s holds open',
    async (address) => {
      const held = await Promise.all(Array.from({ length: 150 }, () => occupy(address)))
      const response = await fetch(`http://127.0.0.1:${probes.address.port}/livez`)
      expect(response.status).toBe(200)
      const closed = (): number => held.filter(({ destroyed }) => destroyed).length
      for (const socket of held) socket.resume()
      await expect.poll(closed).toBeGreaterThanOrEqual(50)
    },
  )

  test.for<readonly [what: string, bytes: string]>([
    ['sends nothing', ''],
    ['sends half of a header', 'GET /livez HTTP/1.1\r\nHost: x\r\n'],
    ['keeps its connection open after a response', 'GET /livez HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['sends no body', 'GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n'],
  ])('disconnects a client that %s', async ([, bytes]) => {
    const socket = await occupy('127.0.0.2')
    socket.write(bytes)
    socket.resume()
    await once(socket, 'close')
    expect(socket.destroyed).toBe(true)
  })
})
