/** Configurations of one issuer, and tokens for it, that kube-apiserver's own code has judged. */
import { randomNumbers } from '../../cel/random-expressions.ts'
import { acceptedFile } from './configuration-corpus.ts'

export interface TokenCase {
  readonly document: string
  readonly payload: string
}

type Json = Readonly<Record<string, unknown>>

const SUB = { claim: 'sub', prefix: 'oidc:' }
const username = (expression: string): Json => ({ claimMappings: { username: { expression } } })
const groups = (of: unknown): Json => ({ claimMappings: { username: SUB, groups: of } })
const uid = (of: unknown): Json => ({ claimMappings: { username: SUB, uid: of } })
const extra = (...expressions: string[]): Json => ({
  claimMappings: {
    username: SUB,
    extra: expressions.map((valueExpression, i) => ({ key: `x.example/k${i}`, valueExpression })),
  },
})
const rules = (...claimValidationRules: Json[]): Json => ({
  claimMappings: { username: SUB },
  claimValidationRules,
})
const userRules = (...expressions: string[]): Json => ({
  claimMappings: { username: SUB, groups: { claim: 'groups', prefix: 'g:' } },
  userValidationRules: expressions.map((expression) => ({ expression, message: 'no' })),
})

/** What the issuer has besides its URL and audience. */
const issuers: readonly Json[] = [
  { claimMappings: { username: SUB } },
  { claimMappings: { username: { claim: 'sub', prefix: '' } } },
  { claimMappings: { username: { claim: 'email', prefix: '' } } },
  ...[
    ...[
      'claims.sub',
      "'oidc:' + claims.sub",
      'claims.?sub.orValue("x")',
      'claims.example__dot__com',
    ],
    ...[
      "claims['example.com']",
      'claims.nested.a__dot__b',
      'claims.?nested.?a__dot__b.orValue("n")',
    ],
    ...['claims.iss', 'string(claims.level)', 'claims.level', 'string(int(claims.level))', "'x'"],
    ...[
      'claims.sub.lowerAscii()',
      'claims.missing',
      'string(claims.admin)',
      'string(has(claims.hd))',
    ],
    ...['claims.?email_verified.orValue(true) ? claims.email : "unverified"', 'claims.aud'],
    ...["dyn(claims.groups).filter(g, g.startsWith('a'))[0]", 'string(size(dyn(claims.groups)))'],
    ...[
      "'sub' in claims ? 'a' : 'b'",
      'string(size(claims))',
      "string(claims.exists(x, x == 'ada'))",
    ],
    ...["string('a__dot__b' in claims.nested)", "string('a.b' in claims.nested)", 'claims.__if__'],
    ...[
      'string(type(claims) == map)',
      'dyn(claims.objects).map(o, o.a__dot__b)[0]',
      'claims.under__underscores__score',
    ],
    ...['claims.objects[0].a__dot__b', 'claims.sub + claims.?suffix.orValue("")'],
  ].map(username),
  ...[{ claim: 'groups', prefix: 'g:' }, { claim: 'groups', prefix: '' }, {}].map(groups),
  ...[
    ...[
      'claims.groups',
      'claims.?groups.orValue([])',
      "claims.?groups.orValue('')",
      "['a', '', 'a']",
    ],
    ...["dyn(claims.groups).map(g, 'p:' + g)", "claims.csv.split(',')", "claims.groups + ['x']"],
    ...["claims.csv.split(',').map(g, g.trim())", "dyn(claims.groups).filter(g, g != 'a')", 'null'],
    ...[
      "claims.csv.findAll('[a-z]+')",
      "claims.csv.split(',') + ['x']",
      'dyn(claims.groups).sort()',
    ],
    ...[
      'dyn(claims.groups).distinct()',
      "claims.csv.split(',').distinct()",
      'claims.?groups',
      "'g'",
    ],
    ...[
      '[?claims.?hd]',
      'claims.?nested.roles.orValue([])',
      'claims.realm_access.roles',
      '[]',
      '[1]',
    ],
    ...["claims.csv.split(',').reverse()", "claims.csv.split(',').slice(0, 1)", '[claims.sub]'],
    ...['claims.?realm_access.roles.orValue([]) + claims.?groups.orValue([])', 'claims.level'],
  ].map((expression) => groups({ expression })),
  ...[
    { claim: 'oid' },
    { expression: 'claims.oid' },
    { expression: "claims.?oid.orValue('')" },
  ].map(uid),
  uid({ expression: 'string(int(claims.level))' }),
  extra('claims.sub', 'claims.groups', "claims.?hd.orValue('')"),
  extra("claims.csv.split(',')", 'claims.level'),
  extra('claims.?groups.orValue([])', 'string(claims.?admin.orValue(false))', 'null'),
  rules({ claim: 'hd', requiredValue: 'example.com' }),
  rules({ claim: 'hd' }),
  rules({ expression: "claims.?hd.orValue('') == 'example.com'", message: 'wrong domain' }),
  rules({ expression: 'claims.admin == true' }, { expression: "claims.sub != 'eve'" }),
  rules({ expression: 'has(claims.groups)' }, { claim: 'sub', requiredValue: 'ada' }),
  rules({ expression: 'claims.level >= 3' }),
  rules({ expression: "claims.exists(x, x == 'ada')" }),
  rules({ expression: 'claims == claims' }),
  rules({ expression: "dyn(claims.groups).all(g, g.matches('^[a-z]+$'))" }),
  userRules("user.username == 'oidc:ada'"),
  userRules('size(user.groups) == 2', 'user.uid == ""'),
  userRules("user.groups.exists(g, g == 'g:a')"),
  userRules("'authentication.kubernetes.io/credential-id' in user.extra"),
  userRules("user.extra['authentication.kubernetes.io/credential-id'] == ['JTI=j']"),
  userRules('has(user.groups) && has(user.uid) && has(user.extra)'),
  userRules('size(user.extra) == 0', "!user.username.startsWith('system:')"),
]

/** What a token has besides issuer, audience and expiry; undefined removes a claim. */
const tokens: readonly Json[] = [
  { sub: 'ada' },
  ...['', null, 7, true, ['ada'], { a: 1 }, 'ADA', ' ada ', 'system:admin', '\u212a', 'é😀'].map(
    (sub) => ({ sub }),
  ),
  {},
  {
    sub: 'ada',
    groups: ['a', 'b'],
    hd: 'example.com',
    admin: true,
    level: 3,
    oid: 'o-1',
    jti: 'j',
  },
  ...[
    'a',
    '',
    'a,b',
    [],
    [''],
    ['a', '', 'a'],
    [null, 'a'],
    null,
    7,
    ['a', 7],
    [['a']],
    { a: 'b' },
  ].map((list) => ({ sub: 'ada', groups: list, csv: 'a, b,c', oid: '' })),
  ...[true, false, 'true', null, 1].map((email_verified) => ({
    ...{ sub: 'ada', email: 'ada@example.com', email_verified, csv: 'x' },
  })),
  { sub: 'ada', email: 'ada@example.com', oid: null, admin: false, hd: null },
  { sub: 'ada', email: '', oid: 7, level: 1_234_567, hd: '' },
  { sub: 'ada', level: 2.5, jti: 7, hd: ['example.com'] },
  { sub: 'ada', level: '3', jti: '', admin: 'true' },
  { sub: 'ada', 'example.com': 'dot', nested: { 'a.b': 'x', a__dot__b: 'y', roles: ['r'] } },
  { sub: 'ada', example__dot__com: 'literal', nested: { a__dot__b: 'y' }, if: 'keyword' },
  { sub: 'ada', objects: [{ 'a.b': 'x' }], under__score: 'u', realm_access: { roles: ['r', 'a'] } },
  { sub: 'ada', _claim_names: { groups: 's' }, _claim_sources: { s: { JWT: 'x.y.z' } } },
  { sub: 'ada', _claim_names: { groups: 's' }, _claim_sources: {} },
  { sub: 'ada', _claim_names: { groups: 's' } },
  { sub: 'ada', _claim_names: { other: 's' }, _claim_sources: { s: {} } },
  { sub: 'ada', _claim_names: { groups: '' }, _claim_sources: { '': {} } },
  { sub: 'ada', _claim_names: { groups: 1 }, _claim_sources: { s: {} } },
  { sub: 'ada', _claim_names: null },
  { sub: 'ada', _claim_names: {}, groups: ['a'] },
  { sub: 'ada', _claim_names: 'x' },
  { sub: 'ada', _claim_sources: 'x' },
  { sub: 'ada', _claim_sources: { s: 'x' } },
  { sub: 'ada', _claim_sources: { s: { endpoint: 1 } } },
  { sub: 'ada', _claim_names: { groups: 's' }, _claim_sources: null },
  { sub: 'ada', groups: ['a'], _claim_names: { groups: 's' }, _claim_sources: { s: {} } },
  { sub: 'ada', iss: 'https://other.example' },
  { sub: 'ada', aud: ['other', 'kubernetes'] },
  { sub: 'ada', aud: 'other' },
  { sub: 'ada', exp: 1 },
  { sub: 'ada', exp: undefined },
  { sub: 'ada', nbf: 4_000_000_000 },
]

const EXPIRY = 4_102_444_800

function document(issuer: Json, url = 'https://i.example'): string {
  const jwt = [{ issuer: { url, audiences: ['kubernetes'] }, ...issuer }]
  return JSON.stringify({ ...acceptedFile(), jwt })
}

function payload(claims: Json): string {
  return JSON.stringify({ iss: 'https://i.example', aud: 'kubernetes', exp: EXPIRY, ...claims })
}

const GOOGLE = 'https://accounts.google.com'

/** Random pairs of the issuers and tokens above, with merged tokens among them. */
export function tokenCases(seed: number, count: number): readonly TokenCase[] {
  const random = randomNumbers(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const pairs = Array.from({ length: count }, (_, i): TokenCase => {
    const issuer = issuers[i % issuers.length]!
    const claims = random() < 0.3 ? { ...pick(tokens), ...pick(tokens) } : pick(tokens)
    return { document: document(issuer), payload: payload(claims) }
  })
  const google = ['accounts.google.com', GOOGLE, 'http://accounts.google.com'].map((iss) => ({
    document: document({ claimMappings: { username: { expression: 'claims.iss' } } }, GOOGLE),
    payload: payload({ iss, sub: 'ada' }),
  }))
  const elsewhere = {
    document: document(issuers[0]!),
    payload: payload({ sub: 'a', iss: 'accounts.google.com' }),
  }
  // A lone surrogate, which JSON can name and UTF-8 cannot.
  const lone = {
    document: document(username('claims.sub')),
    payload: payload({ sub: 'LONE' }).replace('LONE', '\\ud800x'),
  }
  return [...google, elsewhere, lone, ...pairs]
}
