import { expect, test } from 'vitest'

import type { OidcMethod } from '../../src/client/discovery.ts'
import { kubeloginStanza } from '../../src/client/kubeconfig/stanza.ts'

const METHOD: OidcMethod = {
  type: 'oidc',
  name: 'sso',
  issuer: 'https://login.example',
  discoveryURL: '',
  certificateAuthority: '',
  clientID: 'kubernetes',
  clientSecret: '',
  scopes: ['openid'],
  optionalScopes: [],
  extraParameters: {},
  redirectURIs: ['http://localhost:8000'],
  deviceAuthorization: false,
  boundTokens: undefined,
  certificates: undefined,
}

function argumentsFor(extraParameters: Record<string, string>): readonly string[] {
  const { args } = kubeloginStanza({ ...METHOD, extraParameters }, []) as { args: string[] }
  const flag = '--oidc-auth-request-extra-params='
  return args.filter((each) => each.startsWith(flag)).map((each) => each.slice(flag.length))
}

test('an extra parameter of an issuer is passed to kubelogin', () => {
  expect(argumentsFor({ prompt: 'login', acr: 'a,b' })).toEqual(['prompt=login', 'acr=a,b'])
})

test('for kubelogin, no value of an extra parameter becomes another parameter', () => {
  expect(argumentsFor({ prompt: 'login,state=x,redirect_uri=y' })).toEqual([
    '"prompt=login,state=x,redirect_uri=y"',
  ])
  for (const parameters of [
    { 'a=b,state': 'x' },
    { 'a,b': 'x' },
    { '"a': 'x' },
    { a: 'x"' },
    { a: 'x\n' },
  ]) {
    expect(() => argumentsFor(parameters as Record<string, string>)).toThrow(
      /kubelogin cannot send the parameter/,
    )
  }
})
