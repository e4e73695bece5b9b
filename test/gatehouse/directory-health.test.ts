/** A directory that does not work is visible before users notice. */
import { describe, expect, onTestFinished, test } from 'vitest'

import { freePort } from '../../dev/parts/free-ports.ts'
import { startApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { replaceAndReload } from '../support/reloading.ts'
import { scrape } from '../support/scrape.ts'
import {
  directoryConfiguration,
  groupSourceConfiguration,
  hasSlapd,
  startDirectory,
} from '../support/slapd.ts'
import { validated } from '../support/validated.ts'

const CHECK = 'directory company-ldap'

async function readiness({ probesUrl }: TestGatehouse) {
  const response = await fetch(`${probesUrl}/readyz?verbose`)
  return { code: response.status, text: await response.text() }
}

async function validateOnline(gatehouse: TestGatehouse) {
  const file = gatehouse.file('gatehouse.yaml')
  const { code, stdout, stderr } = await validated(file, { online: true })
  return { code, output: stdout + stderr }
}

test.skipIf(!hasSlapd)(
  'a directory that rejects the service account is a note, until a reload has the right password',
  async () => {
    const slapd = await startDirectory()
    onTestFinished(() => slapd.stop())
    const api = await startApiServer()
    onTestFinished(() => api.close())
    const { directory, files } = directoryConfiguration(slapd)
    const gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      issuing: { issuers: [], directories: [directory] },
      files: { ...files, 'ldap-password': 'mistyped\n' },
    })
    onTestFinished(() => gatehouse.close())
    const readyz = async () => (await readiness(gatehouse)).text
    const rejected = `${slapd.secureUrl} does not accept "${slapd.bindDN}"`

    expect(await readyz()).toContain(`[+]${CHECK} ok (${rejected}`)
    expect(await scrape(gatehouse, `gatehouse_check_ok{check="${CHECK}"}`)).toEqual([
      `gatehouse_check_ok{check="${CHECK}"} 0`,
    ])
    expect(gatehouse.log.join('')).toContain('the directory does not work')
    const before = await validateOnline(gatehouse)
    expect(before.code).toBe(1)
    expect(before.output).toContain(`[-]${CHECK} failed: ${rejected}`)
    expect(before.output + gatehouse.log.join('')).not.toContain('mistyped')

    await replaceAndReload(gatehouse, 'ldap-password', `${slapd.bindPassword}\n`)
    await expect.poll(readyz).toContain(`[+]${CHECK} ok\n`)
    expect(gatehouse.log.join('')).toContain('the directory works again')
    const after = await validateOnline(gatehouse)
    expect(after.code).toBe(0)
    expect(after.output).toContain(`[+]${CHECK} ok`)
  },
)

describe.skipIf(!hasSlapd)('a directory that is a source of groups', () => {
  /** Users can sign in with it only. */
  async function start(more: { readonly password?: string; readonly servers?: string[] }) {
    const slapd = await startDirectory()
    onTestFinished(() => slapd.stop())
    const api = await startApiServer()
    onTestFinished(() => api.close())
    const { groupSource, files } = groupSourceConfiguration(slapd)
    const { password = slapd.bindPassword, servers = [] } = more
    const ldap = { ...groupSource.ldap, servers: [...servers, slapd.secureUrl] }
    const gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      issuerOptions: { groupSource: { ...groupSource, ldap, when: 'always' } },
      files: { ...files, 'ldap-password': `${password}\n` },
      without: ['x509'],
      waitsForReadiness: false,
    })
    onTestFinished(() => gatehouse.close())
    const line = async () =>
      (await readiness(gatehouse)).text
        .split('\n')
        .find((one) => one.includes(`]groups ${gatehouse.issuer.url} `))
    return { slapd, gatehouse, line, check: `groups ${gatehouse.issuer.url}` }
  }

  test('and rejects the service account fails readiness, until a reload has the right password', async () => {
    const { slapd, gatehouse, line, check } = await start({ password: 'mistyped' })
    const rejected = `[-]${check} failed: ${slapd.secureUrl} does not accept "${slapd.bindDN}"`
    await expect.poll(line).toContain(rejected)
    expect((await readiness(gatehouse)).code).toBe(503)
    const { code, output } = await validateOnline(gatehouse)
    expect([code, output]).toEqual([1, expect.stringContaining(rejected)])
    expect(output + gatehouse.log.join('')).not.toContain('mistyped')

    await replaceAndReload(gatehouse, 'ldap-password', `${slapd.bindPassword}\n`)
    await expect.poll(line).toBe(`[+]${check} ok`)
    expect((await validateOnline(gatehouse)).output).toContain(`[+]${check} ok`)
  })

  test('with one of two servers does not fail readiness, and the other one is named', async () => {
    const gone = `ldaps://localhost:${await freePort()}`
    const { gatehouse, line, check } = await start({ servers: [gone] })
    await expect.poll(line).toContain(`[+]${check} ok (${gone}: `)
    expect(await line()).toContain('(another server works)')
    expect((await readiness(gatehouse)).code).toBe(200)
    expect((await validateOnline(gatehouse)).output).toContain(`[-]${check} failed: ${gone}: `)
  })
})
