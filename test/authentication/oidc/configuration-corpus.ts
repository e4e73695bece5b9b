/** AuthenticationConfigurations, accepted and refused, that kube-apiserver's own code has judged. */
import { randomNumbers } from '../../cel/random-expressions.ts'

/** Where Gatehouse refuses on purpose what kube-apiserver accepts; docs/compatibility.md lists them. */
export type Stricter = string | undefined

export interface DocumentCase {
  readonly document: string
  readonly stricter: Stricter
}

type Json = Record<string, unknown>
interface Mutation {
  readonly change: (file: Json) => void
  readonly stricter?: string
}

const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUAAECAwQFBgcICQoLDA0ODxAREhMwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
`

/** A file that kube-apiserver accepts. */
export function acceptedFile(): Json {
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'AuthenticationConfiguration',
    jwt: [
      {
        issuer: { url: 'https://i.example', audiences: ['kubernetes'] },
        claimMappings: { username: { claim: 'sub', prefix: 'oidc:' } },
      },
    ],
  }
}

function at(file: Json, path: string): [Json, string] {
  const parts = path.split('.')
  let object = file
  for (const part of parts.slice(0, -1)) object = (object[part] ??= {}) as Json
  return [object, parts.at(-1)!]
}

/** Sets a field below the first issuer. */
const set = (path: string, value: unknown, stricter?: string): Mutation => ({
  change(file) {
    const [object, field] = at(file, `jwt.0.${path}`)
    // Of its own, since a later change may change a part of it.
    object[field] = structuredClone(value)
  },
  ...(stricter === undefined ? {} : { stricter }),
})
const top = (path: string, value: unknown, stricter?: string): Mutation => ({
  change(file) {
    const [object, field] = at(file, path)
    object[field] = structuredClone(value)
  },
  ...(stricter === undefined ? {} : { stricter }),
})

const URLS: readonly Mutation[] = [
  ...['', 'http://i.example', 'i.example', 'https://u@i.example', 'https://u:p@i.example'],
  ...[
    'https://i.example?x=1',
    'https://i.example#x',
    'https://i.example/',
    'https://i.example/a/b',
  ],
  ...['https://i.example:8443', 'https://accounts.google.com', 'accounts.google.com', '%zz', ':x'],
  ...['https://[::1]:8443/x', 'https://i.example:x', 'https://i.example/%zz', null, 5],
].map((url) => set('issuer.url', url))

const STRICT_URLS = [
  ...['HTTPS://i.example', 'https://', 'https:i.example', 'https://i.example?'],
  ...['https://i.example#', 'https://i.example/ü', 'https:///x'],
]

const EXPRESSIONS = [
  ...['claims.sub', "'oidc:' + claims.sub", 'claims.email', 'claims.?email.orValue(claims.sub)'],
  ...["claims['email']", 'claims.sub.foo()', 'claims.', 'claims', 'claims.email_verified', 'sub'],
  ...['claims.email_verified ? claims.email : claims.sub', 'claims.sub + 1', '1', 'true', 'null'],
  ...['claims.?email_verified.orValue(true) ? claims.email : claims.sub', "''", 'user.username'],
  ...[
    "claims.groups.map(g, 'p:' + g)",
    "dyn(claims.groups).map(g, 'p:' + g)",
    "claims.g.split(',')",
  ],
  ...[
    "claims.sub.matches('[')",
    "[claims.sub, 'x']",
    '[claims.sub]',
    "int('x')",
    'claims.foo ==',
    ' ',
  ],
  ...['claims.groups.exists(x, x == claims.email)', 'dyn(claims.g).exists(x, x == claims.email)'],
  ...["has(claims.email) ? claims.email : 'x'", "{'a': claims.email}['a']", 'claims.sub // x'],
]
const CONDITIONS = [
  ...['true', 'claims.admin', 'claims.admin == true', "claims.hd == 'example.com'", '1 == 1', '1'],
  ...["claims.?hd.orValue('') == 'x'", 'claims.email_verified == true', 'claims.email_verified'],
  ...['claims.?email_verified.orValue(true) == true', 'has(claims.hd)', "'a' in claims.groups"],
  ...['claims.exp - claims.nbf <= 86400', 'claims.', 'user.username == "x"', 'dyn(true)', "'x'"],
  ...[
    "claims.sub.matches('(')",
    "claims.sub.startsWith('a') && claims.level > 3",
    '!has(claims.x)',
  ],
  ...["timestamp('x') > timestamp('y')", "duration('1h') > duration('1m')", 'null', 'claims'],
]
const USER_CONDITIONS = [
  ...["!user.username.startsWith('system:')", "user.groups.all(g, !g.startsWith('system:'))"],
  ...['user.username', 'user.foo == 1', "user.extra['a/b'] == ['x']", 'user.uid != ""', 'claims.x'],
  ...["'a' in user.groups", 'size(user.groups) < 10', 'true', 'user', 'user.groups.exists(g, g)'],
  ...["user.extra.all(k, k.contains('/'))", 'user.groups[0] == "a"', 'user.username == 1', ''],
]
const KEYS = [
  ...['example.com/team', 'example.com', '/team', 'example.com/', '', 'Example.com/team'],
  ...['example.com/Team', 'kubernetes.io/x', 'a.kubernetes.io/x', 'k8s.io/x', 'a.k8s.io/x', null],
  ...['mykubernetes.io/x', 'k8s.io.example/x', 'example.com/a/b', 'example.com/a b', '-a.com/x'],
  ...['example.com/a%2fb', 'a/b', 'ex_ample.com/x', `${'a'.repeat(254)}/x`, 'example..com/x'],
]

export const mutations: readonly Mutation[] = [
  ...URLS,
  ...STRICT_URLS.map((url) => set('issuer.url', url, 'the URL is odd')),
  ...STRICT_URLS.slice(0, 3).map((url) => set('issuer.discoveryURL', url, 'the URL is odd')),
  ...['', null, 'https://i.example', 'https://i.example/', 'https://i.example//', 'x'].map((url) =>
    set('issuer.discoveryURL', url),
  ),
  set('issuer.discoveryURL', 'https://other.example/.well-known/openid-configuration'),
  ...[[], ['a', 'b'], ['a', 'a'], [''], null, 'a', [1], ['a', '']].map((list) =>
    set('issuer.audiences', list),
  ),
  ...['', null, 'MatchAny', 'MatchAll', 'matchany', 1].map((policy) =>
    set('issuer.audienceMatchPolicy', policy),
  ),
  ...['', null, 'x', CERTIFICATE].map((pem) => set('issuer.certificateAuthority', pem)),
  ...['', null, 'x'].map((type) => set('issuer.egressSelectorType', type)),
  set('issuer.egressSelectorType', 'cluster', 'egress selectors are not supported'),
  set('issuer.foo', 1),
  set('issuer.URL', 'https://i.example'),
  set('foo', null),
  set('issuer', null),
  set('claimMappings', null),
  set('claimMappings', {}),
  ...[null, {}, { claim: 'sub' }, { prefix: '' }, { claim: '', prefix: '' }].map((username) =>
    set('claimMappings.username', username),
  ),
  ...[
    { claim: 'sub', prefix: null },
    { claim: 'sub', prefix: '', expression: '' },
    { claim: 'sub', prefix: '', expression: null },
    { claim: 'sub', expression: 'claims.sub' },
    { claim: 'sub', prefix: '', expression: 'claims.sub' },
    { expression: 'claims.sub', prefix: '' },
    { expression: 'claims.sub', prefix: null },
    { expression: 'claims.sub', claim: '' },
    { claim: 'email', prefix: '' },
    { claim: 1, prefix: '' },
    { claim: 'sub', prefix: '', foo: 1 },
  ].map((username) => set('claimMappings.username', username)),
  ...EXPRESSIONS.map((expression) => set('claimMappings.username', { expression })),
  ...[null, {}, { claim: 'g' }, { prefix: 'p' }, { claim: 'g', prefix: '' }, { claim: '' }].map(
    (groups) => set('claimMappings.groups', groups),
  ),
  ...[
    { claim: 'g', expression: 'claims.g' },
    { expression: 'claims.g', prefix: 'p' },
    { expression: '', claim: '', prefix: '' },
    [],
    'g',
  ].map((groups) => set('claimMappings.groups', groups)),
  ...EXPRESSIONS.map((expression) => set('claimMappings.groups', { expression })),
  ...[null, {}, { claim: 'sub' }, { claim: '' }, { claim: 'a', expression: 'claims.a' }].map(
    (uid) => set('claimMappings.uid', uid),
  ),
  set('claimMappings.uid', { claim: 'sub', prefix: '' }),
  ...EXPRESSIONS.slice(0, 12).map((expression) => set('claimMappings.uid', { expression })),
  ...KEYS.map((key) => set('claimMappings.extra', [{ key, valueExpression: 'claims.x' }])),
  ...EXPRESSIONS.map((valueExpression) =>
    set('claimMappings.extra', [{ key: 'a.example/b', valueExpression }]),
  ),
  ...[
    null,
    [],
    {},
    [{}],
    [{ key: 'a.example/b' }],
    [{ key: 'a.example/b', valueExpression: '' }],
    [{ key: 'a.example/b', valueExpression: null }],
    [
      { key: 'a.example/b', valueExpression: 'claims.a' },
      { key: 'a.example/b', valueExpression: 'claims.b' },
    ],
    [
      { key: 'a.example/b', valueExpression: 'claims.a' },
      { key: 'a.example/c', valueExpression: 'claims.a' },
    ],
  ].map((extra) => set('claimMappings.extra', extra)),
  ...[
    null,
    [],
    [{}],
    [{ claim: '' }],
    [{ claim: 'a' }],
    [{ claim: 'a', requiredValue: null }],
    [{ claim: 'a', requiredValue: true }],
    [{ claim: 'a', requiredValue: 'x', message: 'm' }],
    [{ claim: 'a', message: '' }],
    [{ claim: 'a' }, { claim: 'a', requiredValue: 'b' }],
    [{ claim: 'a', expression: 'true' }],
    [{ claim: 'a', expression: '' }],
    [{ expression: 'true', requiredValue: 'x' }],
    [{ expression: 'true', requiredValue: '' }],
    [{ expression: 'true', message: 'm' }],
    [{ expression: 'true' }, { expression: 'true' }],
    [{ requiredValue: 'x' }],
    [{ message: 'm' }],
  ].map((rules) => set('claimValidationRules', rules)),
  ...CONDITIONS.map((expression) => set('claimValidationRules', [{ expression }])),
  ...[null, [], [{}], [{ message: 'm' }], [{ expression: 'true' }, { expression: 'true' }]].map(
    (rules) => set('userValidationRules', rules),
  ),
  ...USER_CONDITIONS.map((expression) => set('userValidationRules', [{ expression }])),
  top('jwt', null),
  top('jwt', []),
  top('jwt', {}),
  top('anonymous', null),
  top('anonymous', {}),
  top('anonymous', { enabled: false }),
  top('anonymous', { enabled: null, conditions: null }),
  top('anonymous', { enabled: true }, 'anonymous access is not supported'),
  top(
    'anonymous',
    { enabled: true, conditions: [{ path: '/livez' }] },
    'anonymous access is not supported',
  ),
  top('anonymous', { enabled: false, conditions: [{ path: '/livez' }] }),
  top('kind', 'AuthorizationConfiguration'),
  top('kind', null),
  top('apiVersion', 'apiserver.config.k8s.io/v1beta1'),
  top('apiVersion', 'apiserver.config.k8s.io/v1alpha1', 'v1alpha1 is not supported'),
  top('apiVersion', 'apiserver.config.k8s.io/v2'),
  top('metadata', null),
  top('JWT', []),
  ...["url('https://x').getHost()", "semver('1.2.3') == null"].map((expression) =>
    set('claimMappings.username', { expression }),
  ),
  set(
    'claimMappings.username',
    { expression: "string(quantity('1').asInteger())" },
    'the function is not supported',
  ),
  {
    change(file) {
      const jwt = file['jwt'] as unknown[]
      if (Array.isArray(jwt)) jwt.push(structuredClone(jwt[0]))
    },
  },
]

const ACCEPTED = JSON.stringify(acceptedFile())

/** Texts that are not JSON, or whose reading as YAML matters. */
const TEXTS: readonly DocumentCase[] = [
  ...['', '{', 'apiVersion: x\n', '[]', 'null', '"x"', 'kind: AuthenticationConfiguration\n'].map(
    (document) => ({ document, stricter: undefined }),
  ),
  { document: `${ACCEPTED}\n`, stricter: undefined },
  { document: ACCEPTED.replace('"jwt":', '"jwt":[],"jwt":'), stricter: undefined },
  { document: ACCEPTED.replace('"url":', '"Url":'), stricter: undefined },
  { document: `${ACCEPTED}\n---\n${ACCEPTED}\n`, stricter: 'a second document is refused' },
]

/** Every single change of an accepted file, and random combinations of two and three. */
export function documentCases(seed: number, combined: number): readonly DocumentCase[] {
  const random = randomNumbers(seed)
  const pick = () => mutations[Math.floor(random() * mutations.length)]!
  const chosen = [
    [],
    ...mutations.map((mutation) => [mutation]),
    ...Array.from({ length: combined }, (_, i) => Array.from({ length: 2 + (i % 2) }, pick)),
  ]
  const cases = chosen.map((changes): DocumentCase => {
    const file = acceptedFile()
    for (const { change } of changes) {
      try {
        change(file)
      } catch {
        // It changes a part that another one has removed.
      }
    }
    const stricter = changes.map((mutation) => mutation.stricter).find((why) => why !== undefined)
    return { document: JSON.stringify(file), stricter }
  })
  return [...TEXTS, ...cases]
}
