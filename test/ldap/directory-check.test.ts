/** Whether a directory, which is a real OpenLDAP server, can be used. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { checkDirectory } from '../../src/ldap/directory-check.ts'
import type { DirectorySecrets, ServerOptions } from '../../src/ldap/options.ts'
import { ServiceAccountRejected } from '../../src/ldap/rejections.ts'
import { hasSlapd, startDirectory, type TestDirectory } from '../support/slapd.ts'

describe.skipIf(!hasSlapd)('a directory', () => {
  let slapd: TestDirectory
  let gone: string

  beforeAll(async () => {
    slapd = await startDirectory()
    gone = `ldaps://localhost:${await freePort()}`
  })
  afterAll(() => slapd.stop())

  function check(options: Partial<ServerOptions> = {}, secrets: Partial<DirectorySecrets> = {}) {
    return checkDirectory(
      {
        ...{ servers: [slapd.secureUrl], startTLS: false, timeout: 5_000, bindDN: slapd.bindDN },
        ...options,
      },
      { ca: slapd.ca, bindPassword: slapd.bindPassword, ...secrets },
    )
  }

  test.for([false, true])(
    'that accepts the service account works (StartTLS: %j)',
    async (startTLS) => {
      const before = (await slapd.log()).length
      await check({ startTLS, servers: [startTLS ? slapd.plainUrl : slapd.secureUrl] })
      const log = (await slapd.log()).slice(before)
      expect(log).toContain(`BIND dn="${slapd.bindDN}" mech=SIMPLE`)
      // Nothing is looked up.
      expect(log).not.toContain('SRCH')
    },
  )

  test('that rejects the service account is not tried at its other servers', async () => {
    const before = (await slapd.log()).length
    const servers = [gone, slapd.secureUrl, slapd.secureUrl]
    const failure = check({ servers }, { bindPassword: 'wrong' })
    await expect(failure).rejects.toBeInstanceOf(ServiceAccountRejected)
    await expect(failure).rejects.toThrow(
      `${slapd.secureUrl} does not accept "${slapd.bindDN}" (LDAP result 49: InvalidCredentialsError); check bindPasswordFile`,
    )
    await expect(failure).rejects.toMatchObject({ retryAfter: 1_800_000 })
    expect((await slapd.log()).slice(before).match(/BIND dn=/g)).toHaveLength(1)
  })

  test('with a server that cannot be reached says which, and whether another one works', async () => {
    await expect(check({ servers: [gone, slapd.secureUrl] })).rejects.toThrow(
      new RegExp(`^${gone}: .*ECONNREFUSED.* \\(another server works\\)$`),
    )
    await expect(check({ servers: [gone, gone] })).rejects.toThrow(
      new RegExp(`^${gone}: .*ECONNREFUSED.*; ${gone}: .*ECONNREFUSED[^(]*$`),
    )
  })

  test('whose certificate is of another CA does not get the password', async () => {
    const before = (await slapd.log()).length
    const other = await createAuthority({ commonName: 'other' })
    await expect(check({}, { ca: other.certificatePem })).rejects.toThrow(/certificate/)
    expect((await slapd.log()).slice(before)).not.toContain('BIND')
  })
})
