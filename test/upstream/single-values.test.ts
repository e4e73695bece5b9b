/** Finds out which fields this version of Node refuses to write twice over HTTP/2. */
import { once } from 'node:events'
import { connect, constants, createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'

import { expect, onTestFinished, test } from 'vitest'

import { responseHeaders } from '../../src/upstream/response-headers.ts'

const FIELDS = Object.entries(constants)
  .filter(([name]) => name.startsWith('HTTP2_HEADER_'))
  .map(([, field]) => String(field))
  .filter((field) => !field.startsWith(':'))

/** Returns a function that opens a stream and returns its server side, without a response yet. */
async function streams(): Promise<() => Promise<ServerHttp2Stream>> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => {
    session.destroy()
    server.close()
  })
  return async () => {
    const asked = once(server, 'stream')
    session.request().on('error', () => undefined)
    const [stream] = (await asked) as [ServerHttp2Stream]
    return stream.on('error', () => undefined)
  }
}

function refuses(stream: ServerHttp2Stream, headers: Record<string, string[]>): boolean {
  try {
    stream.respond(headers, { endStream: true })
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ERR_HTTP2_HEADER_SINGLE_VALUE'
  }
}

test('a field that Node refuses to write twice is passed to it once', async () => {
  const next = await streams()
  const refused: string[] = []
  for (const field of FIELDS) {
    if (refuses(await next(), { [field]: ['1', '2'] })) refused.push(field)
  }
  expect(refused).toContain('content-type')
  const twice = refused.filter(
    (field) =>
      responseHeaders({ [field]: ['1', '2'] }, []).filter((name) => name === field).length > 1,
  )
  expect(twice).toEqual([])
})
