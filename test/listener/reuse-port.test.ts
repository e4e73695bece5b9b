/** Several listeners on one port, as of several processes. */
import { afterEach, expect, test } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { startBareListener, type BareListener } from '../support/bare-listener.ts'
import { connectRaw, readResponse } from '../support/raw.ts'

const started: BareListener[] = []

afterEach(async () => {
  await Promise.all(started.splice(0).map((bare) => bare.close()))
})

async function start(name: string, port: number, reusePort: boolean): Promise<BareListener> {
  const handle = ({ response }: Exchange): void => {
    response.writeHead(200, ['Content-Length', String(name.length)])
    response.end(name)
  }
  const bare = await startBareListener(
    { handle, onMalformed: () => undefined },
    {},
    { port, reusePort },
  )
  started.push(bare)
  return bare
}

async function servedBy({ target }: BareListener, ca: string): Promise<string> {
  const connection = await connectRaw({ port: target.port, ca })
  connection.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const { body } = await readResponse(connection)
  connection.destroy()
  return body
}

test('listeners with reusePort share a port, and both serve', async () => {
  const first = await start('first', 0, true)
  const second = await start('second', first.target.port, true)
  const served = new Set<string>()
  const cas = first.target.ca + second.target.ca
  for (let i = 0; i < 200 && served.size < 2; i++) served.add(await servedBy(first, cas))
  expect([...served].sort()).toEqual(['first', 'second'])
})

test('after one has been closed, the other serves all connections', async () => {
  const first = await start('first', 0, true)
  const second = await start('second', first.target.port, true)
  started.splice(started.indexOf(second), 1)
  await second.close()
  for (let i = 0; i < 20; i++) expect(await servedBy(first, first.target.ca)).toBe('first')
})

test.for([
  [false, false],
  [true, false],
  [false, true],
] as const)('unless both have it (%s, %s), the port is in use', async ([one, other]) => {
  const first = await start('first', 0, one)
  await expect(start('second', first.target.port, other)).rejects.toThrow('EADDRINUSE')
})
