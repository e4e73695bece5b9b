/** The files of docs/ldap.md: `gatehouse validate` accepts them, and those for OpenLDAP work with a real one. */
import { readFile, writeFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'

import { validate } from '../../src/cli/validate.ts'
import { createAuthority } from '../../certs-dev/pki.ts'
import { directory as directorySchema } from '../../src/config/schema/directory.ts'
import { groupSource as groupSourceSchema } from '../../src/config/schema/group-source.ts'
import { createDirectoryGroups } from '../../src/groups/directory-groups.ts'
import { createDirectory } from '../../src/ldap/directory.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { authenticationFile, examples, examplesFor } from '../support/ldap-document.ts'
import { hasSlapd, startDirectory } from '../support/slapd.ts'

describe('gatehouse validate', () => {
  let api: ApiServer
  let site: TestGatehouse

  beforeAll(async () => {
    const authority = await createAuthority({ commonName: 'CA' })
    api = await startApiServer()
    site = await startTestGatehouse({
      upstream: upstreamOf(api),
      files: {
        'ldap-ca.crt': authority.certificatePem,
        'ldap-password': 'password\n',
        'issuing-ca.crt': authority.certificatePem,
        'issuing-ca.key': authority.keyPem,
      },
    })
    await site.gatehouse.close(true)
  })
  afterAll(async () => {
    await site.close()
    await api.close()
  })

  test('has two examples for each of two products', () => {
    expect(examples).toHaveLength(4)
    const hosts = (text: string) => examples.filter((one) => JSON.stringify(one).includes(text))
    expect([hosts('dc1.ad.example.com').length, hosts('ldap1.example.com').length]).toEqual([2, 2])
  })

  test.for([0, 1, 2, 3])('has nothing to say about example %i', async (i) => {
    const configFile = site.file('changed.yaml')
    const configuration = parse(await readFile(site.file('gatehouse.yaml'), 'utf8')) as object
    await writeFile(configFile, stringify({ ...configuration, ...examples[i] }))
    await writeFile(site.file('authentication.yaml'), stringify(authenticationFile))
    let stderr = ''
    const code = await validate(
      { configFile, inCluster: { host: '', port: '443', folder: '/nowhere' }, online: false },
      { stdout: { write: () => undefined }, stderr: { write: (text) => (stderr += text) } },
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

test.skipIf(!hasSlapd)('the examples for OpenLDAP find users, groups and passwords', async () => {
  const slapd = await startDirectory()
  onTestFinished(() => slapd.stop())
  const { groupSource, directory } = examplesFor('OpenLDAP')
  const { bindDN, ca, bindPassword } = slapd
  const here = { bindDN, servers: [slapd.secureUrl] }

  const { ldap, timeout } = groupSourceSchema.parse(groupSource)
  const source = createDirectoryGroups({ ...ldap!, ...here, timeout }, { ca, bindPassword })
  const limits = { signal: AbortSignal.timeout(10_000), deadline: Date.now() + 10_000 }
  const groups = ['developers', 'engineering', 'everyone', 'all']
  expect(await source.groupsOf('ada', limits)).toEqual(groups)

  const options = directorySchema.parse(directory)
  expect(options.startTLS).toBe(true)
  const attempt = { admit: () => undefined, accepted: () => undefined }
  const found = await createDirectory({ ...options, bindDN, servers: [slapd.plainUrl] }, () => ({
    ...{ ca, bindPassword },
  })).signIn('ada', slapd.password, attempt)
  expect(found).toMatchObject({ username: 'ada', groups })
  expect(found.uid).toMatch(/^[0-9a-f-]{36}$/)
})
