/** Pages on the host of the API, whose client signs in to the issuer with a key. */
import { generateKeyPairSync } from 'node:crypto'

import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'

import { createPageClient, type PageClient } from '../../support/page-client.ts'
import { startPagesWorld, type PagesWorld } from '../../support/pages-world.ts'

let world: PagesWorld

beforeAll(async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  world = await startPagesWorld({ isShared: true, privateKey })
})

afterAll(async () => {
  await world.close()
})

function browser(): PageClient {
  const made = createPageClient({ ca: [world.gatehouse.ca, world.providerCA] })
  onTestFinished(() => made.close())
  return made
}

test('a browser is led to the pages, and signs in', async () => {
  const { url, text } = await browser().follow(`${world.apiURL}/`, 'grace')
  expect([url, text]).toEqual([
    `${world.apiURL}/gatehouse/`,
    expect.stringContaining('Sign in</a>'),
  ])
  const client = browser()
  const { text: account } = await client.follow(`${world.apiURL}/gatehouse/sign-in`, 'heidi')
  expect(account).toContain('oidc:heidi')
})

test('the Kubernetes API is on the same host, and takes no session', async () => {
  const client = browser()
  await client.follow(`${world.apiURL}/gatehouse/sign-in`, 'grace')
  const before = world.api.received.length
  for (const path of ['/api', '/gatehouse/api/whoami', '/api/v1/namespaces']) {
    expect((await client.ask(world.apiURL + path)).status).toBe(401)
  }
  expect(world.api.received).toHaveLength(before)
  const { status } = await client.ask(`${world.apiURL}/gatehouse/nothing`)
  expect(status).toBe(404)
})
