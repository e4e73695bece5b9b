import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { upstreamHeaders, type UpstreamHeaderOptions } from '../../src/upstream/headers.ts'
import { identityHeaders, IMPERSONATION } from '../../src/upstream/identity.ts'

const ada = { username: 'ada', uid: '', groups: ['engineers', 'system:authenticated'], extra: {} }

function write(rawHeaders: string[], more: Partial<UpstreamHeaderOptions> = {}): string[] {
  return upstreamHeaders({
    rawHeaders,
    identity: identityHeaders(ada, IMPERSONATION),
    identityNames: [],
    additionalNames: new Set(['x-custom', 'x-hop', 'x-stay']),
    authorization: 'Bearer gatehouse-own',
    host: 'kube.example:6443',
    auditID: 'id-1',
    forwardedFor: '192.0.2.7',
    ...more,
  })
}

function values(headers: string[], name: string): string[] {
  return headers.filter((_, i) => i % 2 === 1 && headers[i - 1] === name)
}

describe('a header that could carry identity or routing is not forwarded', () => {
  test.for([
    'Authorization',
    'Impersonate-User',
    'IMPERSONATE-GROUP',
    'impersonate-extra-scopes',
    'Impersonate_User',
    'impersonate-Uid',
    'X-Remote-User',
    'x_remote_group',
    'X-Remote-Extra-Foo',
    'X-Forwarded-For',
    'x-FORWARDED-host',
    'Forwarded',
    'X-Real-Ip',
    'X_Real_Ip',
    'X-Original-URL',
    'Proxy-Authorization',
    'Proxy-Connection',
    'Cookie',
    'Via',
    'Audit-ID',
    'audit_id',
    'Host',
    'Expect',
    'Content-Length',
    'Transfer-Encoding',
    'Transfer_Encoding',
    'TE',
    'Trailer',
    'Upgrade',
    'Keep-Alive',
    'HTTP2-Settings',
    'Sec-WebSocket-Protocol',
    'X-Stream-Protocol-Version',
    'Client-Cert',
  ])('%s is dropped', (name) => {
    const headers = write([name, 'evil'])
    expect(headers).not.toContain('evil')
  })
})

test.for([
  'Remote-User',
  'X-Auth-Request-User',
  'X-WEBAUTH-USER',
  'X-User',
  'SSL-Client-Cert',
  'X-SSL-Client-S-DN',
  'Proxy',
  'X-Api-Key',
  'X-Rewrite-URL',
  'X-HTTP-Method-Override',
  'X-Token',
  'X-Not-Invented-Yet',
])('%s, which nobody listed, is dropped', (name) => {
  expect(write([name, 'evil'])).not.toContain('evil')
})

test.for([
  'Accept',
  'Accept-Language',
  'Content-Type',
  'Content-Encoding',
  'If-None-Match',
  'If-Modified-Since',
  'Range',
  'User-Agent',
  'Origin',
  'Kubectl-Command',
  'Kubectl-Session',
  'traceparent',
  'tracestate',
  'baggage',
  'X-Requested-With',
])('%s, which kube-apiserver or its tracing reads, is forwarded', (name) => {
  expect(values(write([name, 'value']), name.toLowerCase())).toEqual(['value'])
})

test('a reserved header is dropped even if it is listed as an additional one', () => {
  const names = ['authorization', 'cookie', 'impersonate-user', 'x-remote-user', 'x_remote_group']
  const headers = write(
    names.flatMap((name) => [name, 'evil']),
    { additionalNames: new Set(names) },
  )
  expect(headers).not.toContain('evil')
})

test('headers that the administrator adds are forwarded unchanged and in order', () => {
  const headers = write([
    'User-Agent',
    'kubectl/v1',
    'Accept',
    'a',
    'X-Custom',
    '1',
    'X-Custom',
    '2',
  ])
  expect(values(headers, 'user-agent')).toEqual(['kubectl/v1'])
  expect(values(headers, 'x-custom')).toEqual(['1', '2'])
})

test('exactly one identity, one credential, one address and one Audit-ID are sent upstream', () => {
  const headers = write([
    'Impersonate-User',
    'root',
    'X-Forwarded-For',
    '10.0.0.1',
    'Audit-ID',
    'x',
  ])
  expect(values(headers, 'impersonate-user')).toEqual(['ada'])
  expect(values(headers, 'impersonate-group')).toEqual(['engineers', 'system:authenticated'])
  expect(values(headers, 'authorization')).toEqual(['Bearer gatehouse-own'])
  expect(values(headers, 'x-forwarded-for')).toEqual(['192.0.2.7'])
  expect(values(headers, 'audit-id')).toEqual(['id-1'])
  expect(values(headers, 'host')).toEqual(['kube.example:6443'])
})

// CVE-2021-31999: hop-by-hop removal must not remove the identity that was set.
test.for([
  ['Connection', 'Impersonate-User, Impersonate-Group, close'],
  ['Connection', 'impersonate-user'],
  ['connection', ' ,Authorization ,X-Custom, '],
])('an identity header that %s: %s names is still sent', ([name, value]) => {
  const headers = write([name!, value!, 'X-Custom', '1'])
  expect(values(headers, 'impersonate-user')).toEqual(['ada'])
  expect(values(headers, 'authorization')).toHaveLength(1)
  expect(values(headers, 'connection')).toEqual([])
})

test('a header that Connection names is hop-by-hop and not forwarded', () => {
  expect(values(write(['Connection', 'X-Hop', 'X-Hop', '1', 'X-Stay', '2']), 'x-hop')).toEqual([])
})

test('in requestheader mode the configured names are dropped, with hyphens or underscores', () => {
  const names = {
    mode: 'requestheader',
    user: 'x-proxy-user',
    group: 'x-proxy-group',
    uid: 'x-proxy-uid',
    extraPrefix: 'x-proxy-extra-',
  } as const
  const headers = write(
    ['X-Proxy-User', 'evil', 'x_proxy_group', 'evil', 'X-Proxy-Extra-A', 'evil'],
    {
      identity: identityHeaders(ada, names),
      identityNames: [names.user, names.group, names.uid, names.extraPrefix],
      authorization: undefined,
    },
  )
  expect(headers).not.toContain('evil')
  expect(values(headers, 'x-proxy-user')).toEqual(['ada'])
  expect(values(headers, 'authorization')).toEqual([])
})

test('a request without a user is refused', () => {
  expect(() => write([], { identity: [] })).toThrow(StatusError)
  expect(() => write([], { identity: ['impersonate-user', ''] })).toThrow(StatusError)
})

test('exactly one identity is sent, whatever headers the client sends', () => {
  const name = fc.oneof(
    fc.constantFrom('Impersonate-User', 'Connection', 'Authorization', 'X-Remote-User', 'Accept'),
    fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(name, fc.string())), (pairs) => {
      const headers = write(pairs.flat())
      expect(values(headers, 'impersonate-user')).toEqual(['ada'])
      expect(values(headers, 'authorization')).toEqual(['Bearer gatehouse-own'])
      expect(headers.filter((h, i) => i % 2 === 0 && h.startsWith('impersonate-'))).toHaveLength(3)
    }),
  )
})
