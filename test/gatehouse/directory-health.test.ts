/** A directory that does not work is visible before users notice. */
import { expect, onTestFinished, test } from 'vitest'

import { validate } from '../../src/cli/validate.ts'
import { startApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf } from '../support/gatehouse.ts'
import { replaceAndReload } from '../support/reloading.ts'
import { scrape } from '../support/scrape.ts'
import { directoryConfiguration, hasSlapd, startDirectory } from '../support/slapd.ts'

const CHECK = 'directory company-ldap'

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
    const readyz = async () => (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text()
    const rejected = `${slapd.secureUrl} does not accept "${slapd.bindDN}"`
    const online = () =>
      validate(
        {
          configFile: gatehouse.file('gatehouse.yaml'),
          online: true,
          inCluster: { host: '', port: '', folder: '' },
        },
        {
          stdout: { write: (text) => (output += text) },
          stderr: { write: (text) => (output += text) },
        },
      )
    let output = ''

    expect(await readyz()).toContain(`[+]${CHECK} ok (${rejected}`)
    expect(await scrape(gatehouse, `gatehouse_check_ok{check="${CHECK}"}`)).toEqual([
      `gatehouse_check_ok{check="${CHECK}"} 0`,
    ])
    expect(gatehouse.log.join('')).toContain('the directory does not work')
    expect(await online()).toBe(1)
    expect(output).toContain(`[-]${CHECK} failed: ${rejected}`)
    expect(output + gatehouse.log.join('')).not.toContain('mistyped')

    await replaceAndReload(gatehouse, 'ldap-password', `${slapd.bindPassword}\n`)
    await expect.poll(readyz).toContain(`[+]${CHECK} ok\n`)
    expect(gatehouse.log.join('')).toContain('the directory works again')
    output = ''
    expect(await online()).toBe(0)
    expect(output).toContain(`[+]${CHECK} ok`)
  },
)
