import { describe, expect, test } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'
import type { Source } from '../../src/config/document.ts'
import { checkCipherSuites } from '../../src/listener/cipher-suites.ts'
import { buildListenerTls } from '../../src/listener/tls.ts'

const source: Source = {
  file: 'gatehouse.yaml',
  locate: () => ({ line: 1, column: 1 }),
  problem: (path, message, fix) => ({
    file: 'gatehouse.yaml',
    line: 1,
    column: 1,
    field: path.join('.'),
    message,
    fix,
  }),
}

describe('the list of cipher suites', () => {
  test("accepts kube-apiserver's names; those of TLS 1.3 have no effect", () => {
    const names = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256']
    expect(checkCipherSuites(names, source)).toEqual([])
  })

  test.for([
    'TLS_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'tls_ecdhe_rsa_with_aes_128_gcm_sha256',
    'constructor',
  ])('reports %s', (name) => {
    const names = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', name]
    expect(checkCipherSuites(names, source)).toMatchObject([
      {
        field: 'listener.tls.cipherSuites.1',
        message: `"${name}" is not a supported cipher suite`,
      },
    ])
  })

  test('is reported when it leaves TLS 1.2 without a suite', () => {
    expect(checkCipherSuites(['TLS_AES_128_GCM_SHA256'], source)).toMatchObject([
      { message: 'leaves TLS 1.2 without a cipher suite' },
    ])
  })
})

describe('the certificate for a server name', async () => {
  const authority = await createAuthority({ commonName: 'ca' })
  const pair = async (dnsNames: string[], names: string[] = []) => {
    const issued = await authority.issue({ commonName: 'x', dnsNames, usages: ['server'] })
    return { certificate: issued.certificatePem, privateKey: issued.keyPem, names }
  }
  const tls = buildListenerTls({
    minVersion: 'VersionTLS12',
    cipherSuites: [],
    serving: await pair(['default.example']),
    sni: [
      await pair(['internal.example', '*.internal.example']),
      await pair(['ignored.example'], ['explicit.example', '*.explicit.example']),
      await pair(['internal.example']),
    ],
    clientTrust: undefined,
    issuingCA: undefined,
    acceptsSelfSigned: false,
  })
  const [first, explicit] = ['internal.example', 'explicit.example'].map((name) =>
    tls.contextFor(name),
  )

  test('is the first one that contains the name', () => {
    expect(first).toBeDefined()
    expect(tls.contextFor('INTERNAL.example')).toBe(first)
    expect(tls.contextFor('a.internal.example')).toBe(first)
  })

  test('is selected by explicit names instead of those in the certificate', () => {
    expect(explicit).toBeDefined()
    expect(tls.contextFor('a.explicit.example')).toBe(explicit)
    expect(tls.contextFor('ignored.example')).toBeUndefined()
  })

  test('is the default one for other names, and a wildcard matches one label', () => {
    expect(tls.contextFor('default.example')).toBeUndefined()
    expect(tls.contextFor('a.b.internal.example')).toBeUndefined()
    expect(tls.contextFor('10.0.0.1')).toBeUndefined()
  })
})

describe('a certificate of the client', async () => {
  const [serving, issuing] = [
    await createAuthority({ commonName: 'ca' }),
    await createAuthority({ commonName: 'issuing' }),
  ]
  const pair = await serving.issue({
    commonName: 'x',
    dnsNames: ['gatehouse.example'],
    usages: ['server'],
  })
  const requestedAt = (
    serverName: string,
    issuingCA: string | undefined,
    acceptsSelfSigned = false,
  ): boolean =>
    buildListenerTls({
      minVersion: 'VersionTLS12',
      cipherSuites: [],
      serving: { certificate: pair.certificatePem, privateKey: pair.keyPem, names: [] },
      sni: [],
      clientTrust: undefined,
      pagesName: 'pages.example',
      issuingCA,
      acceptsSelfSigned,
    }).requestsCertificate(serverName)

  test("is requested where Gatehouse's own CA is the only one, but not at the name of the pages", () => {
    expect(requestedAt('gatehouse.example', issuing.certificatePem)).toBe(true)
    expect(requestedAt('Pages.example', issuing.certificatePem)).toBe(false)
    expect(requestedAt('gatehouse.example', undefined)).toBe(false)
  })

  test('is requested without any CA where tokens may be bound to self-signed ones', () => {
    expect(requestedAt('gatehouse.example', undefined, true)).toBe(true)
    expect(requestedAt('pages.example', undefined, true)).toBe(false)
  })
})
