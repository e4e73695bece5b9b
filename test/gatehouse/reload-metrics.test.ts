import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'

import { afterEach, beforeEach, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { replaceFile } from '../support/files.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { replaceAndReload } from '../support/reloading.ts'

let api: ApiServer
let gatehouse: TestGatehouse

beforeEach(async () => {
  api = await startApiServer()
  gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
})

afterEach(async () => {
  await gatehouse.close()
  await api.close()
})

async function change(by: (text: string) => string): Promise<void> {
  const rules = await readFile(gatehouse.file('rules.yaml'), 'utf8')
  await replaceAndReload(gatehouse, 'rules.yaml', by(rules))
}

const SUCCESSFUL = 'gatehouse_config_last_reload_successful'
const TIMESTAMP = 'gatehouse_config_last_reload_success_timestamp_seconds'

/** A gauge by what was loaded, as Prometheus reads it. */
async function gauge(name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${gatehouse.probesUrl}/metrics`)).text()
  const samples = text.matchAll(new RegExp(`^${name}\\{what="([^"]+)"\\} (\\S+)$`, 'gm'))
  return Object.fromEntries([...samples].map(([, what = '', value]) => [what, Number(value)]))
}

test('what was loaded at the start counts as loaded, and when', async () => {
  expect(await gauge(SUCCESSFUL)).toEqual({
    'authentication configuration': 1,
    'client CA': 1,
    rules: 1,
    'serving certificates': 1,
    'upstream credential': 1,
  })
  const times = Object.values(await gauge(TIMESTAMP))
  expect(times).toHaveLength(5)
  for (const time of times) expect(new Date(time * 1_000).getFullYear()).toBeGreaterThan(2025)
})

test('a reload that fails is 0 and leaves the time, for what failed only; the next is 1', async () => {
  const before = await gauge(TIMESTAMP)
  await change((rules) => rules.replace('effect: allow', 'effect: alow'))
  expect(await gauge(SUCCESSFUL)).toMatchObject({ rules: 0, 'client CA': 1 })
  expect(await gauge(TIMESTAMP)).toEqual(before)
  await change((rules) => rules.replace('effect: alow', 'effect: allow'))
  expect(await gauge(SUCCESSFUL)).toMatchObject({ rules: 1 })
  const { rules = 0, ...others } = await gauge(TIMESTAMP)
  expect(rules).toBeGreaterThan(before['rules']!)
  expect(before).toMatchObject(others)
})

test('the end of the certificates in effect is a gauge, and a reload moves it', async () => {
  const expirations = async (): Promise<Record<string, number>> => {
    const text = await (await fetch(`${gatehouse.probesUrl}/metrics`)).text()
    const samples = text.matchAll(
      /^gatehouse_certificate_expiration_timestamp_seconds\{certificate="(\w+)"\} (\S+)$/gm,
    )
    return Object.fromEntries([...samples].map(([, kind = '', value]) => [kind, Number(value)]))
  }
  const endOf = (pem: string): number => new X509Certificate(pem).validToDate.getTime() / 1_000
  const before = await expirations()
  expect(before).toEqual({
    serving: endOf(await readFile(gatehouse.file('serving.crt'), 'utf8')),
    client_ca: endOf(gatehouse.clientAuthority.certificatePem),
    upstream: endOf(api.gatehouse.certificatePem),
  })
  const ending = await createAuthority({ commonName: 'ending', days: 1 })
  const file = gatehouse.file('client-ca.crt')
  await replaceFile(file, gatehouse.clientAuthority.certificatePem + ending.certificatePem)
  gatehouse.gatehouse.reload()
  expect(await expirations()).toEqual({ ...before, client_ca: endOf(ending.certificatePem) })
  expect(gatehouse.log.join('')).toContain('certificate 2 of 2 expires on')
})
