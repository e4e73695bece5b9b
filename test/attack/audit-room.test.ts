/** Many streams of a user with large groups that end at once: each has its final event. */
import { once } from 'node:events'
import { connect } from 'node:http2'

import { expect, test } from 'vitest'

import { startAttack } from '../support/attack.ts'

const STREAMS = 500
const GROUPS = Array.from({ length: 120 }, (_, n) => String(n).padStart(80, 'g'))

test('500 watches of a user with large groups that end at once lose no event', async () => {
  const attack = await startAttack({
    configuration: {
      listener: { http2: { maxConcurrentStreams: STREAMS } },
      limits: { user: { stream: { requestsPerSecond: 10_000, burst: 10_000 } } },
    },
  })
  attack.api.handler = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.write('{}\n')
  }
  const authorization = (await attack.bearer({ groups: GROUPS })).slice(15).trim()
  const session = connect(attack.gatehouse.url, { ca: attack.gatehouse.ca })
  session.on('error', () => undefined)
  const path = `/api/v1/pods?watch=true&labelSelector=${'a'.repeat(900)}`
  for (let begun = 0; begun < STREAMS; begun += 50) {
    const responses = Array.from({ length: 50 }, async () => {
      const stream = session.request({ ':path': path, authorization })
      stream.on('error', () => undefined)
      stream.resume()
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
      return headers[':status']
    })
    expect(new Set(await Promise.all(responses))).toEqual(new Set([200]))
  }
  session.destroy()
  const isFinal = ({ stage, requestURI }: { stage: string; requestURI: string }): boolean =>
    stage === 'ResponseComplete' && requestURI === path
  expect(await attack.gatehouse.eventsWhere(isFinal, STREAMS)).toHaveLength(STREAMS)
  expect(attack.gatehouse.log.join('')).not.toContain('audit events are being lost')
  await attack.close()
})
