import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { redactTarget, redactUnparsed } from '../../src/audit/redaction.ts'
import type { Authentication } from '../../src/authentication/authenticator.ts'
import { ada, auditorInto, clientRequest, memorySink, resolved } from './fixtures.ts'

const JWT = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl'

function redactQuery(query: string): string {
  return redactTarget(`/p?${query}`, query).slice('/p?'.length)
}

describe('the query of a valid target', () => {
  test.for([
    ['limit=500&continue=abc', 'limit=500&continue=[redacted]'],
    ['labelSelector=app%3Dweb&watch=true', 'labelSelector=app%3Dweb&watch=true'],
    ['watch', 'watch'],
    ['stdin=true&container=c&command=sh', 'stdin=true&container=c&command=[redacted]'],
    [
      'command=sh&command=-c&command=pw%3Dsecret',
      'command=[redacted]&command=[redacted]&command=[redacted]',
    ],
    ['access_token=abc&token=def', 'access_token=[redacted]&token=[redacted]'],
    ['password=a=b', 'password=[redacted]'],
    ['client.secret=a', 'client.secret=[redacted]'],
    ['%63ommand=secret', '[redacted]'],
    ['Limit=secret', 'Limit=[redacted]'],
    ['secretalone', '[redacted]'],
    ['c2VjcmV0=', '[redacted]'],
    ['c2VjcmV0==', '[redacted]'],
    ['c2VjcmV0MQ=x', '[redacted]'],
    ['__proto__=x&constructor=y', '[redacted]&constructor=[redacted]'],
    ['limit=1;token=secret', 'limit=[redacted]'],
    ['&&limit=1&', '&&limit=1&'],
    [`${'a'.repeat(41)}=x`, '[redacted]'],
  ] as const)('%s is written as %s', ([query, written]) => {
    expect(redactQuery(query)).toBe(written)
  })

  test('is truncated when it has thousands of parameters', () => {
    const query = Array.from({ length: 9_000 }, () => 'command=x').join('&')
    const written = redactTarget(`/p?${query}`, query)
    expect(written).toHaveLength(4_096 + '...TRUNCATED'.length)
    expect(written.endsWith('...TRUNCATED')).toBe(true)
  })

  test('does not matter for a path that is too long, which is truncated', () => {
    const path = `/${'a'.repeat(60_000)}`
    expect(redactTarget(path, '')).toBe(`${path.slice(0, 4_096)}...TRUNCATED`)
  })

  test('contains no value of an unknown parameter', () => {
    const secret = fc.stringMatching(/^SECRET[A-Za-z0-9%=+/.]{0,20}$/)
    const alone = fc.stringMatching(/^SECRET[A-Za-z0-9%+/.]{0,20}={0,2}$/)
    const name = fc.stringMatching(/^[a-zA-Z_%0-9.-]{1,12}$/)
    const known = fc.constantFrom('limit=5', 'watch=true', 'container=c', '', 'pretty')
    const pair = fc.oneof(
      known,
      alone,
      fc.tuple(name, secret).map(([key, value]) => `x${key}=${value}`),
      secret.map((value) => `command=${value}`),
    )
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 12 }), (pairs) => {
        expect(redactQuery(pairs.join('&'))).not.toContain('SECRET')
      }),
    )
  })
})

describe('a target that was refused', () => {
  test.for([
    ['/api/v1//pods', '/api/v1//pods'],
    ['/api/v1/%2e%2e/x', '/api/v1/%2e%2e/x'],
    ['/api//v1?token=secret&limit=5', '/api//v1?token=[redacted]&limit=5'],
    ['/api;token=secret?limit=5', '/api;[redacted]'],
    ['/api#access_token=secret', '/api#[redacted]'],
    ['/api%3Ftoken=secret', '/api%3Ftoken=[redacted]'],
    ['http://ada:secret@host/api', 'http://[redacted]@host/api'],
    [`/api/v1//${JWT}/x`, '/api/v1//[redacted]/x'],
    ['', ''],
    ['*', '*'],
  ] as const)('%s is written as %s', ([target, written]) => {
    expect(redactUnparsed(target)).toBe(written)
  })

  test('is limited in length', () => {
    expect(redactUnparsed('\\'.repeat(60_000))).toBe(`${'\\'.repeat(4_096)}...TRUNCATED`)
    expect(redactUnparsed(`/?${'a'.repeat(60_000)}`).length).toBeLessThan(5_000)
  })
})

/** The line of a request with a secret in every place that may hold one. */
function lineOf(rawTarget: string, authentication: Authentication = ada): string {
  const sink = memorySink()
  const auditor = auditorInto(sink)
  const rawHeaders = [
    'User-Agent',
    'kubectl',
    'Authorization',
    `Bearer ${JWT}`,
    'Cookie',
    'pw=hunter2',
  ]
  const record = auditor.open(clientRequest({ rawTarget, rawHeaders }), performance.now())
  record.resolved(...resolved('GET', rawTarget))
  record.authenticated(authentication)
  record.responseStarted(101)
  record.close({ code: 101, bytesReceived: 0, bytesSent: 0 })
  return sink.lines.join('')
}

describe('the line of an event', () => {
  test('contains no argument of exec, no header and no token', () => {
    const line = lineOf(
      '/api/v1/namespaces/a/pods/p/exec?command=sh&command=-c&command=pw%3Dsecret&access_token=hunter2',
    )
    expect(line.split('\n')).toHaveLength(3)
    expect(line).not.toMatch(/secret|hunter2|eyJ|Bearer|=sh/)
    expect(line).toContain('command=[redacted]')
  })

  test('contains extra values that identify a credential, but no credential', () => {
    const line = lineOf('/version', {
      ...ada,
      user: {
        ...ada.user,
        extra: {
          'authentication.kubernetes.io/credential-id': ['JTI=5f2c'],
          'example.com/id-token': ['hunter2'],
          'example.com/tenant': ['blue', JWT],
        },
      },
    })
    const { user } = JSON.parse(line) as { user: { extra: unknown } }
    expect(user.extra).toEqual({
      'authentication.kubernetes.io/credential-id': ['JTI=5f2c'],
      'example.com/id-token': ['[redacted]'],
      'example.com/tenant': ['blue', '[redacted]'],
    })
  })

  test('does not let annotations of an authenticator imitate those of the auditor', () => {
    const line = lineOf('/version', {
      ...ada,
      annotations: {
        'gatehouse/rule': 'forged',
        'authorization.k8s.io/decision': 'forged',
        'latency.gatehouse/upstream': 'forged',
        issuer: 'https://issuer.test',
        'example.com/x': JWT,
      },
    })
    const { annotations } = JSON.parse(line) as { annotations: Record<string, string> }
    expect(annotations).toMatchObject({
      'authentication.gatehouse/rule': 'forged',
      'authentication.gatehouse/decision': 'forged',
      'authentication.gatehouse/upstream': 'forged',
      'authentication.gatehouse/issuer': 'https://issuer.test',
      'example.com/x': '[redacted]',
    })
    expect(annotations).not.toHaveProperty(['gatehouse/rule'])
    expect(annotations).not.toHaveProperty(['authorization.k8s.io/decision'])
  })

  test('omits fields that are empty for the user', () => {
    const line = lineOf('/version', {
      ...ada,
      user: { username: 'bob', uid: '', groups: [], extra: {} },
      annotations: {},
    })
    expect(JSON.parse(line)).toMatchObject({ user: { username: 'bob' } })
    expect((JSON.parse(line) as { user: object }).user).toEqual({ username: 'bob' })
  })
})

describe('a name that looks like a signed token', () => {
  function nameOf(name: string): string {
    const sink = memorySink()
    const auditor = auditorInto(sink)
    const rawTarget = `/apis/rbac.authorization.k8s.io/v1/clusterroles/${name}`
    const record = auditor.open(clientRequest({ rawTarget }), 0)
    record.resolved(...resolved('GET', rawTarget))
    record.authenticated(ada)
    record.close({ code: 200, bytesReceived: 0, bytesSent: 0 })
    const [event] = sink.events
    expect(event?.requestURI.endsWith(`/${event.objectRef?.name}`)).toBe(true)
    return event?.objectRef?.name ?? ''
  }

  test('is redacted when its header decodes as one', () => {
    expect(nameOf(JWT)).toBe('[redacted]')
    expect(nameOf(`a${JWT}`)).toBe('a[redacted]')
  })

  test('is written as a digest otherwise, so that the object cannot vanish from the log', () => {
    const names = ['eyJ', 'eyK'].map(
      (start) => `${start}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbb.cccc`,
    )
    expect(nameOf(names[0]!)).toMatch(/^\[sha256:[0-9a-f]{32}\]$/)
    expect(nameOf(names[0]!)).toBe(nameOf(names[0]!))
    expect(nameOf(names[0]!)).not.toBe(nameOf(`${names[0]!}c`))
    expect(nameOf(names[1]!)).toBe(names[1])
  })

  test('hides a token that follows something that only looks like one', () => {
    expect(nameOf(`eyJaaaaaaaaaaaa.${JWT}`)).toMatch(/^\[sha256:[0-9a-f]{32}\]$/)
  })
})
