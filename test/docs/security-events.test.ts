/** The files of docs/security-events.md: `gatehouse validate` accepts them as they are. */
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { validate } from '../../src/cli/validate.ts'
import { eventName } from '../../src/security-events/event.ts'
import { EVENTS } from '../security-events/transmitter.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { SECRET, startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

const root = resolve(import.meta.dirname, '../..')
const text = await readFile(resolve(root, 'docs/security-events.md'), 'utf8')
const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = '']) => block)

let api: ApiServer
let site: TestGatehouse

beforeAll(async () => {
  api = await startApiServer()
  site = await startTestGatehouse({
    upstream: upstreamOf(api),
    files: {
      'transmitter-authorization': 'Bearer x1y2\n',
      'poll-authorization': 'Bearer x1y2\n',
    },
  })
  await site.gatehouse.close(true)
  // The issuer of the examples.
  await copyFile(resolve(root, 'config/authentication.yaml'), site.file('authentication.yaml'))
})

afterAll(async () => {
  await site.close()
  await api.close()
})

test('there is an example for each way to end sign-ins', () => {
  expect(blocks.map((block) => /backchannelLogout|push|poll/.exec(block)?.[0])).toEqual([
    'backchannelLogout',
    'push',
    'poll',
    'push',
  ])
})

test.for(blocks)('gatehouse validate has nothing to say about %s', async (block) => {
  const configFile = site.file('changed.yaml')
  const own = parse(await readFile(site.file('gatehouse.yaml'), 'utf8')) as Record<string, unknown>
  const { authentication } = parse(block) as { authentication: object }
  await writeFile(configFile, stringify({ ...own, authentication }), SECRET)
  let stderr = ''
  const code = await validate(
    { configFile, inCluster: { host: '', port: '443', folder: '/nowhere' }, online: false },
    { stdout: { write: () => undefined }, stderr: { write: (line) => (stderr += line) } },
  )
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
})

test('the table has every event that has a meaning', () => {
  const names = Object.values(EVENTS).map((uri) => eventName(uri))
  expect(names.filter((name) => name === undefined || !text.includes(`\`${name}\``))).toEqual([])
})
