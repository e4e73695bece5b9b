import { expect, test } from 'vitest'
import { parse } from 'yaml'

import { argocdSecret, bearerToken } from '../../src/client/kubeconfig/argocd-secret.ts'

const SERVER = { origin: 'https://gatehouse.example', certificateAuthority: '' }

function secretOf(name: string): {
  readonly metadata: { readonly name: string }
  readonly stringData: Readonly<Record<string, string>>
} {
  return parse(argocdSecret({ name, server: SERVER, namespace: 'argocd', token: 'a.b.c' })) as never
}

test('a public CA is left out, and TLS is verified', () => {
  const { stringData } = secretOf('lab')
  expect(JSON.parse(stringData['config'] ?? '')).toEqual({
    bearerToken: 'a.b.c',
    tlsClientConfig: { insecure: false },
  })
})

test.for([
  ['lab', 'cluster-lab'],
  ['Team A / prod', 'cluster-team-a-prod'],
  ['gatehouse.example.com', 'cluster-gatehouse-example-com'],
  ['::', 'cluster'],
  ['é', 'cluster'],
  ['x'.repeat(300), `cluster-${'x'.repeat(200)}`],
  [`${'x'.repeat(199)}.y`, `cluster-${'x'.repeat(199)}`],
] as const)('the Secret of %s has a name that Kubernetes takes', ([name, expected]) => {
  const secret = secretOf(name)
  expect(secret.metadata.name).toBe(expected)
  expect(secret.stringData['name']).toBe(name)
})

test.for(['', 'a b', 'a\nb', 'Bearer a', 'é', '"a"', 'a\u0000'])('%j is not a token', (content) => {
  expect(bearerToken(content)).toBeUndefined()
})

test.for([
  ['{"exp":1700000000}', 1_700_000_000_000],
  ['{"exp":1e300}', undefined],
  ['{"exp":"1"}', undefined],
  ['null', undefined],
  ['[', undefined],
] as const)('a token with the payload %s', ([payload, expiresAt]) => {
  const token = `x.${Buffer.from(payload).toString('base64url')}.y`
  expect(bearerToken(`${token}\n`)).toEqual({ token, expiresAt })
})
