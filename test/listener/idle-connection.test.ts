/** What an idle connection over HTTP/1.1 keeps: nothing of its last request, which includes a credential. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

import { expect, test } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { startBareListener } from '../support/bare-listener.ts'
import { connectRaw, readResponse } from '../support/raw.ts'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

test.each([
  ['GET', ''],
  ['POST', 'body'],
])('an idle connection keeps nothing of its last request: %s', async (method, body) => {
  const exchanges: WeakRef<Exchange>[] = []
  const bare = await startBareListener({
    handle(exchange) {
      exchanges.push(new WeakRef(exchange))
      exchange.receiveBody({
        onData: () => undefined,
        onEnd() {
          exchange.response.writeHead(200, ['Content-Length', '2'])
          exchange.response.end('ok')
        },
        onError: () => undefined,
      })
    },
    onMalformed: () => undefined,
  })
  try {
    const client = await connectRaw(bare.target)
    for (let i = 0; i < 2; i += 1) {
      client.write(
        `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      )
      expect(await readResponse(client)).toMatchObject({ status: 200, body: 'ok' })
    }
    expect(exchanges).toHaveLength(2)
    await expect
      .poll(
        () => {
          collectGarbage()
          return exchanges.filter((exchange) => exchange.deref() !== undefined).length
        },
        { timeout: 10_000 },
      )
      .toBe(0)
    expect(client.ended).toBe(false)
    client.destroy()
  } finally {
    await bare.close()
  }
})
