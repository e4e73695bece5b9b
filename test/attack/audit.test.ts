/**
 * The audit log under attack: each request has one final event, in one line that clients can neither
 * forge nor disguise (CWE-117), and the log contains no credential (CWE-532).
 */
import { readFile } from 'node:fs/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type CertificateRequest, type KeyPair } from '../../certs-dev/pki.ts'
import { headerValues, type ApiHandler } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import {
  ALLOW_ALL,
  startTestGatehouse,
  type AuditEvent,
  type TestGatehouse,
} from '../support/gatehouse.ts'
import { ERROR, headers, reset } from '../support/http2-frames.ts'
import { responseHeader, connectRaw, readResponse, type RawResponse } from '../support/raw.ts'
import { startTokenApiServer } from '../support/token-api-server.ts'

const PODS = '/api/v1/namespaces/d/pods'
const POD = `${PODS}/p`
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
/** Letters, marks, numbers, punctuation, symbols and the space: what a terminal does not interpret. */
const VISIBLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u
/** What an attacker would like to forge in a log, with every way to start a new line. */
const FORGED =
  '"}}\n{"kind":"Event","auditID":"forged","user":{"username":"mallory"}}\r\n\u001b[2J\u001b[1A' +
  '\u2028{"auditID":"forged"}\u2029\u0085\u009b31m\u007f\u202e\u2066\u200b\ufeff\\u000a\\"'
/** A valid name. */
const QUOTES = 'a"}\\n{"auditID":"forged"}\u200c\u00e9\\'
/** A name that looks like another one. */
const REVERSED = 'a\u202eda\u200b'

let attack: Attack
/** All credentials that were used. */
const tokens = new Set<string>()
const certificates: KeyPair[] = []

async function bearerOf(claims?: Readonly<Record<string, unknown>>): Promise<string> {
  const line = await attack.bearer(claims)
  tokens.add(tokenOf(line))
  return line
}

function tokenOf(line: string): string {
  return line.slice('Authorization: Bearer '.length).trim()
}

async function certificateOf(subject?: Partial<CertificateRequest>): Promise<KeyPair> {
  const pair = await attack.gatehouse.certificate(subject)
  certificates.push(pair)
  return pair
}

beforeAll(async () => {
  attack = await startAttack({
    rules: {
      ...ALLOW_ALL,
      rules: [
        ...ALLOW_ALL.rules,
        {
          name: 'no-secrets',
          effect: 'deny',
          verbs: ['*'],
          resources: [{ apiGroups: [''], resources: ['secrets'] }],
        },
      ],
    },
    configuration: {
      listener: { limits: { headerTimeout: '2s' } },
      limits: { user: { list: { requestsPerSecond: 0.001, burst: 1 } } },
    },
  })
})

afterAll(async () => {
  await attack.close()
})

function get(target: string, fields = ''): string {
  return `GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`
}

/** The lines of the file, unparsed. */
async function auditLines(): Promise<readonly string[]> {
  const text = await readFile(attack.gatehouse.file('audit.log'), 'utf8')
  return text.split('\n').slice(0, -1)
}

function expectTrueToLife(lines: readonly string[]): void {
  for (const line of lines) {
    expect(line).toMatch(VISIBLE)
    expect((JSON.parse(line) as AuditEvent).auditID).toMatch(/^[0-9a-f-]{36}$/)
  }
}

describe('clients can neither forge a line of the log nor disguise one', () => {
  test.for<readonly [what: string, fields: string]>([
    ['quotes', 'User-Agent: a","auditID":"forged","x":"'],
    ['C1 controls', 'User-Agent: a\x85{"auditID":"forged"}\x9b2J'],
    ['UTF-8 of U+2028 and bidirectional overrides', 'User-Agent: a\xe2\x80\xa8\xe2\x80\xaeb'],
    ['two of them', 'User-Agent: a\r\nUser-Agent: b"}\\n{"auditID":"forged"}'],
    ['60 kB', `User-Agent: ${'\x85'.repeat(60_000)}`],
  ])('by a User-Agent with %s', async ([, fields]) => {
    const before = (await auditLines()).length
    const bearer = await bearerOf()
    const { events } = await attack.watching(() => attack.send(get(POD, `${bearer}${fields}\r\n`)))
    expect(events).toHaveLength(1)
    const agent = /User-Agent: (.*?)(?:\r\n|$)/.exec(fields)![1]!
    expect(events[0]!.userAgent).toBe(
      agent.length > 1_024 ? `${agent.slice(0, 1_024)}...TRUNCATED` : agent,
    )
    expectTrueToLife((await auditLines()).slice(before))
  })

  test.for([
    '/api/v1/namespaces/d%0a%7B%22auditID%22:%22forged%22%7D/pods/p',
    `${POD}?labelSelector=%0A%7B"auditID":"forged"}%1b[2J`,
    `${POD}?fieldSelector=\\n{"auditID":"forged"}`,
    `/a","auditID":"forged","x":"`,
    '/\\u000a{"auditID":"forged"}',
    `/%E2%80%AE`,
    `//\\"`,
  ])('by the target %s', async (target) => {
    const before = (await auditLines()).length
    const { events } = await attack.watching(async () => attack.send(get(target, await bearerOf())))
    expect(events).toHaveLength(1)
    expect(events[0]!.requestURI.startsWith(target.slice(0, 4))).toBe(true)
    expectTrueToLife((await auditLines()).slice(before))
  })

  test.for<readonly [what: string, claims: Readonly<Record<string, unknown>>, code: number]>([
    ['as user', { sub: FORGED }, 403],
    ['as group', { groups: ['a', FORGED] }, 403],
    ['as jti', { jti: FORGED }, 403],
    ['as user that is disguised', { sub: REVERSED }, 403],
    ['as user, without controls', { sub: QUOTES }, 200],
    ['as group, without controls', { groups: [QUOTES] }, 200],
    ['as jti, without controls', { jti: QUOTES }, 200],
    ['as a claim that is not used', { [FORGED]: FORGED }, 200],
  ])('by a token with forged text %s, which gets %i', async ([, claims, code]) => {
    const before = (await auditLines()).length
    const { events } = await attack.watching(async () =>
      attack.send(get(POD, await bearerOf(claims))),
    )
    expect(events).toMatchObject([{ responseStatus: { code } }])
    expectTrueToLife((await auditLines()).slice(before))
  })

  test('the claims of a token are logged verbatim', async () => {
    const { events } = await attack.watching(async () =>
      attack.send(get(POD, await bearerOf({ sub: QUOTES, groups: [QUOTES] }))),
    )
    expect(events).toMatchObject([
      {
        user: {
          username: `oidc:${QUOTES}`,
          groups: [`oidc:${QUOTES}`, 'system:authenticated'],
        },
      },
    ])
  })

  test.for<
    readonly [what: string, commonName: string, organization: string, username: string | undefined]
  >([
    ['CN', FORGED, 'a', undefined],
    ['O', 'ada', FORGED, undefined],
    ['CN and O of quotes', QUOTES, QUOTES, QUOTES],
    ['CN that names another attribute', 'ada\nO=system:masters', 'a', undefined],
    [
      'CN that does so when written in one line',
      'ada/O=system:masters',
      'a',
      'ada/O=system:masters',
    ],
  ])('by a certificate with forged text as %s', async ([, commonName, organization, username]) => {
    const before = (await auditLines()).length
    const certificate = await certificateOf({ commonName, organizations: [organization] })
    const { events } = await attack.watching(() => attack.send(get(POD), certificate))
    expect(events).toMatchObject([{ responseStatus: { code: username === undefined ? 403 : 200 } }])
    const known = events[0]!.user.username
    expect([commonName, undefined]).toContain(known)
    expect(known ?? username).toBe(username ?? known)
    expectTrueToLife((await auditLines()).slice(before))
  })

  test('the operational log has no forged line either', () => {
    for (const line of attack.gatehouse.log) {
      expect(line.endsWith('\n')).toBe(true)
      expect(line.slice(0, -1)).toMatch(VISIBLE)
    }
    expect(attack.gatehouse.log.length).toBeGreaterThan(0)
  })
})

describe('requestURI', () => {
  test.for<readonly [what: string, target: (jwt: string) => string, shown: string]>([
    [
      'without arguments of exec',
      () => `${POD}/exec?container=c&command=mysql&command=-pSECRET&stdin=true`,
      `${POD}/exec?container=c&command=[redacted]&command=[redacted]&stdin=true`,
    ],
    [
      'without them when they are percent-encoded',
      () => `${POD}/exec?%63ommand=SECRET&comman%64=SECRET`,
      `${POD}/exec?[redacted]&[redacted]`,
    ],
    [
      'without them after another delimiter',
      () => `${POD}/exec?stdin=true;command=SECRET`,
      `${POD}/exec?stdin=[redacted]`,
    ],
    [
      'without a token as a parameter',
      (jwt) => `${POD}?access_token=${jwt}`,
      `${POD}?access_token=[redacted]`,
    ],
    ['without a token as the whole query', (jwt) => `${POD}?${jwt}`, `${POD}?[redacted]`],
    [
      'without a token in a parameter that is normally shown',
      (jwt) => `${POD}?limit=1&labelSelector=token%3D${jwt}&fieldManager=${jwt}`,
      `${POD}?limit=1&labelSelector=[redacted]&fieldManager=[redacted]`,
    ],
    ['without a token in a path that is refused', (jwt) => `//${jwt}`, '//[redacted]'],
    [
      'without a token in the query of such a path',
      (jwt) => `//?token=${jwt}`,
      '//?token=[redacted]',
    ],
  ])('is logged %s', async ([, target, shown]) => {
    const bearer = await bearerOf()
    const { events } = await attack.watching(() =>
      attack.send(get(target(tokenOf(bearer)), bearer)),
    )
    expect(events.map(({ requestURI }) => requestURI)).toEqual([shown])
  })
})

describe('a token that a client sends in the wrong place is redacted', () => {
  test.for([
    ['in a path', 200, (jwt: string) => get(`/x/${jwt}/y`)],
    ['as a name', 200, (jwt: string) => get(`${PODS}/${jwt}`)],
    [
      'as a namespace and a resource',
      200,
      (jwt: string) => get(`/apis/${jwt}/v1/namespaces/${jwt}/p`),
    ],
    [
      'as a name of a secret, which a rule denies',
      403,
      (jwt: string) => get(`/api/v1/namespaces/d/secrets/${jwt}`),
    ],
    [
      'in a field selector',
      200,
      (jwt: string) => get(`${PODS}?watch=1&fieldSelector=metadata.name%3D${jwt}`),
    ],
    ['in a User-Agent', 200, (jwt: string) => get(POD, `User-Agent: curl Bearer ${jwt}\r\n`)],
    [
      'across the truncation of a User-Agent',
      200,
      (jwt: string) => get(POD, `User-Agent: ${'a '.repeat(490)}${jwt}\r\n`),
    ],
    ['after a long name', 200, (jwt: string) => get(`${PODS}/${'a~'.repeat(110)}${jwt}`)],
  ] as const)('when it is sent %s', async ([, code, request]) => {
    const bearer = await bearerOf()
    const bytes = request(tokenOf(bearer))
    for (const [fields, expected] of [
      [bearer, code],
      ['', 401],
    ] as const) {
      const { value, events } = await attack.watching(() =>
        attack.send(bytes.replace(/\r\n$/, `${fields}\r\n`)),
      )
      expect(value.response.status).toBe(expected)
      expect(events).toHaveLength(1)
      const line = JSON.stringify(events)
      expect(
        tokenOf(bearer)
          .split('.')
          .filter((part) => line.includes(part.slice(0, 16))),
      ).toEqual([])
      // For an unauthenticated client, the text is truncated before the token.
      expect(line).toMatch(expected === 401 ? /\[redacted\]|TRUNCATED/ : /\[redacted\]/)
    }
  })
})

interface Ending {
  readonly response?: RawResponse
  /** The code of a response over HTTP/2, or of a request whose client did not wait for one. */
  readonly code: number
}

async function sent(bytes: string, certificate?: KeyPair): Promise<Ending> {
  const { response } = await attack.send(bytes, certificate)
  return { response, code: response.status }
}

const silent: ApiHandler = () => undefined

/** Disconnects once the API server has received the request. */
async function left(bytes: string): Promise<Ending> {
  const seen = attack.api.received.length
  attack.api.handler = silent
  try {
    const connection = await attack.connect()
    connection.write(bytes)
    await expect.poll(() => attack.api.received.length).toBe(seen + 1)
    connection.destroy()
    await attack.gatehouse.eventsWhere(({ responseStatus }) => responseStatus?.code === 499)
  } finally {
    attack.api.handler = undefined
  }
  return { code: 499 }
}

async function leftOverHttp2(): Promise<Ending> {
  const seen = attack.api.received.length
  const before = (await attack.gatehouse.events()).length
  attack.api.handler = silent
  try {
    const connection = await attack.connectHttp2()
    connection.send(headers(1, await attack.fields(POD)))
    await expect.poll(() => attack.api.received.length).toBe(seen + 1)
    connection.send(reset(1, ERROR.CANCEL))
    await expect.poll(async () => (await attack.gatehouse.events()).length).toBe(before + 1)
    connection.raw.destroy()
  } finally {
    attack.api.handler = undefined
  }
  return { code: 499 }
}

async function partial(bytes: string): Promise<Ending> {
  const connection = await attack.connect()
  connection.write(bytes)
  const response = await readResponse(connection)
  connection.destroy()
  return { response, code: response.status }
}

async function answering(handler: ApiHandler, bytes: string): Promise<Ending> {
  attack.api.handler = handler
  try {
    const connection = await attack.connect()
    connection.write(bytes)
    const response = await readResponse(connection)
    connection.destroy()
    return { response, code: response.status }
  } finally {
    attack.api.handler = undefined
  }
}

async function overHttp2(target: string, authorized: boolean): Promise<Ending> {
  const connection = await attack.connectHttp2()
  const fields = await attack.fields(target)
  connection.send(headers(1, authorized ? fields : fields.slice(0, 4)))
  const { status } = await connection.response(1)
  connection.raw.destroy()
  return { code: status ?? 0 }
}

const bad = async (claims: Readonly<Record<string, unknown>>): Promise<Ending> =>
  sent(get(POD, await bearerOf(claims)))
const asAda = async (target: string, fields = ''): Promise<Ending> =>
  sent(get(target, `${await bearerOf()}${fields}`))

/** What ends a request, its code, and whether the API server received it. */
const ENDINGS: readonly (readonly [
  what: string,
  code: number,
  reached: boolean,
  end: () => Promise<Ending>,
])[] = [
  ['a response', 200, true, () => asAda(POD)],
  ['a response over HTTP/2', 200, true, () => overHttp2(POD, true)],
  ['no credential', 401, false, () => sent(get(POD))],
  ['no credential over HTTP/2', 401, false, () => overHttp2(POD, false)],
  ['another scheme', 401, false, () => sent(get(POD, 'Authorization: Basic YWRhOmFkYQ==\r\n'))],
  ['a malformed token', 401, false, () => sent(get(POD, 'Authorization: Bearer a.b.c\r\n'))],
  ['a token that has expired', 401, false, () => bad({ exp: 1_000_000_000 })],
  ['a token for another audience', 401, false, () => bad({ aud: 'other' })],
  ['a token of another issuer', 401, false, () => bad({ iss: 'https://other.example' })],
  ['a token without a user', 401, false, () => bad({ sub: undefined })],
  [
    'a token with a signature cut off',
    401,
    false,
    async () => {
      const bearer = await bearerOf()
      return sent(get(POD, `${bearer.slice(0, bearer.lastIndexOf('.') + 1)}\r\n`))
    },
  ],
  [
    'a certificate of an unknown CA',
    401,
    false,
    async () => {
      const authority = await createAuthority({ commonName: 'unknown' })
      return sent(get(POD), await authority.issue({ commonName: 'ada', usages: ['client'] }))
    },
  ],
  [
    'a certificate that has expired',
    401,
    false,
    async () => {
      const notAfter = new Date(Date.now() - 60_000)
      return sent(get(POD), await certificateOf({ notAfter }))
    },
  ],
  [
    'a token beside a certificate',
    401,
    false,
    async () => sent(get(POD, await bearerOf()), await certificateOf()),
  ],
  ['a rule', 403, false, () => asAda('/api/v1/namespaces/d/secrets/s')],
  [
    'a user of Kubernetes itself',
    403,
    false,
    async () => sent(get(POD), await certificateOf({ commonName: 'system:admin' })),
  ],
  [
    'a group of Kubernetes itself',
    403,
    false,
    async () => sent(get(POD), await certificateOf({ organizations: ['system:masters'] })),
  ],
  ['kubectl --as', 403, false, () => asAda(POD, 'Impersonate-User: root\r\n')],
  ['a path with two readings', 400, false, () => asAda('/api/v1//pods')],
  ['two lengths', 400, false, () => asAda(POD, 'Content-Length: 1\r\nContent-Length: 2\r\n')],
  ['another coding', 400, false, () => asAda(POD, 'Transfer-Encoding: gzip\r\n')],
  ['two Hosts', 400, false, () => asAda(POD, 'Host: other\r\n')],
  ['two Authorizations', 400, false, () => asAda(POD, 'Authorization: Bearer x\r\n')],
  ['malformed input', 400, false, () => sent('\0\0\r\n\r\n')],
  ['an upgrade to HTTP/2', 400, false, () => asAda(POD, 'Connection: Upgrade\r\nUpgrade: h2c\r\n')],
  ['TRACE', 405, false, async () => sent(get(POD, await bearerOf()).replace('GET', 'TRACE'))],
  ['CONNECT', 405, false, () => sent('CONNECT gatehouse:443 HTTP/1.1\r\nHost: gatehouse\r\n\r\n')],
  ['another expectation', 417, false, () => asAda(POD, 'Expect: 200-ok\r\n')],
  [
    'too many requests',
    429,
    false,
    async () => {
      const list = get(PODS, await bearerOf({ sub: 'eager' }))
      await sent(list)
      return sent(list)
    },
  ],
  ['a header that is too large', 431, false, () => asAda(POD, `X-A: ${'a'.repeat(200_000)}\r\n`)],
  ['too many headers', 431, false, () => asAda(POD, 'X-A: b\r\n'.repeat(300))],
  ['a header that does not end', 408, false, () => partial('GET / HTTP/1.1\r\nHost: gate')],
  ['a client that disconnects', 499, true, async () => left(get(POD, await bearerOf()))],
  ['a client that resets its stream', 499, true, leftOverHttp2],
  [
    'an API server that breaks off',
    502,
    true,
    async () => answering((_request, response) => response.destroy(), get(POD, await bearerOf())),
  ],
  [
    'an upgrade that the API server refuses',
    403,
    true,
    async () => {
      attack.api.upgradeHandler = (_request, socket) =>
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}')
      return asAda(`${POD}/exec?command=sh`, UPGRADE)
    },
  ],
]

/** Refused before there was a request: such a response has no Audit-ID. */
const WITHOUT_ID: ReadonlySet<string> = new Set([
  'two lengths',
  'another coding',
  'malformed input',
  'CONNECT',
  'a header that is too large',
  'too many headers',
  'a header that does not end',
])

describe('there is exactly one final event, with the Audit-ID of the response and of the API server,', () => {
  test.for(ENDINGS)('after %s, with code %i', async ([what, code, reached, end]) => {
    const { value, received, events } = await attack.watching(end)
    expect(value.code).toBe(code)
    // The first request empties the bucket, the second one is beyond the limit.
    const codes = code === 429 ? [200, 429] : [code]
    expect(events.map((event) => event.responseStatus?.code)).toEqual(codes)
    expect(new Set(events.map(({ stage }) => stage))).toEqual(new Set(['ResponseComplete']))
    const { auditID } = events.at(-1)!
    const ids = received.slice(codes.length - 1).flatMap((one) => headerValues(one, 'audit-id'))
    expect(new Set(ids)).toEqual(new Set(reached ? [auditID] : []))
    const responded =
      value.response === undefined ? auditID : responseHeader(value.response, 'Audit-ID')
    expect(responded).toBe(WITHOUT_ID.has(what) ? undefined : auditID)
    const all = (await attack.gatehouse.events()).filter((event) => event.auditID === auditID)
    expect(all.filter(({ stage }) => stage !== 'ResponseStarted')).toHaveLength(1)
  })

  test('after a watch, whose start has an event as well', async () => {
    const { value, received, events } = await attack.watching(async () =>
      answering(
        (_request, response) => {
          response.writeHead(200, { 'content-type': 'application/json' })
          response.end('{"type":"ADDED"}\n')
        },
        get(`${PODS}?watch=true`, await bearerOf()),
      ),
    )
    expect(value.code).toBe(200)
    const auditID = responseHeader(value.response!, 'Audit-ID')
    expect(headerValues(received[0]!, 'audit-id')).toEqual([auditID])
    expect(events).toHaveLength(1)
    const stages = (await attack.gatehouse.events()).filter((event) => event.auditID === auditID)
    expect(stages.map(({ stage }) => stage)).toEqual(['ResponseStarted', 'ResponseComplete'])
  })

  test('after the API server has become unreachable, with code 503', async () => {
    const lonely = await startAttack()
    await lonely.api.close()
    const connection = await lonely.connect()
    connection.write(get(POD, await lonely.bearer()))
    const response = await readResponse(connection)
    connection.destroy()
    expect(response.status).toBe(503)
    const events = await lonely.gatehouse.eventsWhere(({ requestURI }) => requestURI === POD)
    expect(events).toMatchObject([{ stage: 'ResponseComplete', responseStatus: { code: 503 } }])
    expect(responseHeader(response, 'Audit-ID')).toBe(events[0]!.auditID)
    await lonely.gatehouse.close()
  })
})

describe('neither the audit log nor the operational log at level trace contains a part of a credential', () => {
  test('of accepted and of refused clients', async () => {
    await attack.settled()
    await expectNoneOf(attack.gatehouse, [...tokens, attack.api.gatehouse, ...certificates])
    expect(tokens.size).toBeGreaterThan(30)
  })

  test.for(['/served', '/unauthorized', '/broken', '/no-http'])(
    "nor Gatehouse's own token: %s",
    async (path) => {
      const api = await startTokenApiServer()
      const gatehouse = await startTestGatehouse({ upstream: { kubeconfig: api.kubeconfig } })
      const token = await gatehouse.token()
      const connection = await connectRaw(gatehouse)
      connection.write(get(path, `Authorization: Bearer ${token}\r\n`))
      const response = await readResponse(connection)
      connection.destroy()
      expect(response.head + response.body).not.toContain(api.token)
      const [event] = await gatehouse.eventsWhere(({ requestURI }) => requestURI === path)
      expect(event!.responseStatus!.code).toBe(response.status)
      expect(api.paths).toContain(path)
      await expectNoneOf(gatehouse, [token, api.token])
      await gatehouse.close()
      await api.close()
    },
  )
})

/** Searches for each text, each part of a token and each line of a key or certificate. */
async function expectNoneOf(
  gatehouse: TestGatehouse,
  secrets: readonly (string | KeyPair)[],
): Promise<void> {
  const text = (await readFile(gatehouse.file('audit.log'), 'utf8')) + gatehouse.log.join('')
  const parts = secrets.flatMap((secret) =>
    typeof secret === 'string'
      ? [secret, ...secret.split('.')]
      : `${secret.keyPem}\n${secret.certificatePem}`.split('\n'),
  )
  const long = parts.filter((part) => part.length > 15 && !part.startsWith('-----'))
  expect(long.filter((part) => text.includes(part))).toEqual([])
}
