import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { AuditEvent } from '../../src/audit/event.ts'
import { jsonMembers } from '../../src/audit/json-members.ts'
import { auditorInto, clientRequest, memorySink, resolved } from './fixtures.ts'

/** Only letters, marks, numbers, punctuation, symbols and the space. */
const VISIBLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$/u

const sink = memorySink()
const auditor = auditorInto(sink)

/** The line of a request in which every string from outside is `text`. */
function lineWith(text: string): string {
  sink.lines.length = 0
  const [target, info] = resolved('GET', '/api/v1/namespaces/a/pods/p')
  const { connection } = clientRequest()
  const record = auditor.open(
    clientRequest({
      rawHeaders: ['user-AGENT', text],
      connection: { ...connection, remoteAddress: text },
    }),
    performance.now(),
  )
  record.resolved(
    { ...target, raw: text, rawQuery: '' },
    {
      ...info,
      verb: text,
      resource: text,
      namespace: text,
      name: text,
      apiGroup: text,
      apiVersion: text,
      subresource: text,
    },
  )
  record.authenticated({
    user: { username: text, uid: text, groups: [text, text], extra: { [`${text}-id`]: [text] } },
    method: text,
    annotations: { [`example.com/${text}`]: text },
  })
  const shadow = [{ rule: text, effect: 'deny' as const }]
  record.decided({ decision: 'deny', rule: text, reason: text, shadow })
  record.identityAsserted(text)
  record.close({
    code: 403,
    reason: text,
    message: text,
    cause: text,
    bytesReceived: 0,
    bytesSent: 0,
  })
  return sink.lines.join('')
}

function textsOf(event: AuditEvent): (string | undefined)[] {
  const { annotations, objectRef, responseStatus, user } = event
  return [
    event.requestURI,
    event.verb,
    event.sourceIPs[0],
    event.userAgent,
    user.username,
    user.uid,
    ...(user.groups ?? []),
    ...Object.values<readonly string[]>({ ...user.extra }).flat(),
    ...Object.values<string>({ ...objectRef }),
    responseStatus?.message,
    responseStatus?.reason,
    annotations['authorization.k8s.io/reason'],
    annotations['gatehouse/rule'],
    annotations['gatehouse/cause'],
    annotations['gatehouse/method'],
    annotations['gatehouse/identity'],
    annotations['gatehouse/wouldDeny'],
  ]
}

describe('the line of an event', () => {
  test.for([
    ['CR LF and a whole forged event', 'x"}\r\n{"kind":"Event","user":{"username":"root"}}'],
    ['an ANSI escape', '\u001b[2J\u001b[31mroot'],
    ['a C1 control sequence introducer', '\u009b2J'],
    ['NEL', 'a\u0085b'],
    ['U+2028 and U+2029', 'a\u2028b\u2029c'],
    ['bidirectional overrides', 'abc\u202egnp\u202c\u2066x\u2069'],
    ['zero-width characters and a BOM', 'a\u200bd\u200da\ufeff'],
    ['tag characters beyond the BMP', 'ada\u{e0041}\u{e007f}'],
    ['DEL and NUL', 'a\u007f\u0000b'],
    ['lone surrogates', '\ud800x\udc00'],
    ['surrogates the wrong way round', '\udc00\ud800'],
    ['quotes and backslashes', '\\"\\u0022\\\\"'],
    ['characters that look like spaces', 'a\u00a0b\u3000c'],
    ['a private and an unassigned code point', '\ue000\uffff\u{10ffff}'],
  ] as const)('stays one line of visible characters with %s', ([, text]) => {
    const line = lineWith(text)
    expect(line.indexOf('\n')).toBe(line.length - 1)
    expect(line.slice(0, -1)).toMatch(VISIBLE)
    expect(new Set(textsOf(JSON.parse(line) as AuditEvent))).toEqual(new Set([text]))
  })

  test('keeps letters of any script readable', () => {
    const line = lineWith('Zoë 李 жу 😀 e\u0301')
    expect(line).toContain('"username":"Zoë 李 жу 😀 e\u0301"')
  })

  test('stays one line of visible characters that parses to the same strings, whatever they are', () => {
    const anything = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
      fc
        .array(fc.integer({ min: 0, max: 0xffff }), { minLength: 1, maxLength: 40 })
        .map((units) => String.fromCharCode(...units)),
    )
    fc.assert(
      fc.property(anything, (text) => {
        const line = lineWith(text)
        expect(line.indexOf('\n')).toBe(line.length - 1)
        expect(line.slice(0, -1)).toMatch(VISIBLE)
        expect(new Set(textsOf(JSON.parse(line) as AuditEvent))).toEqual(new Set([text]))
      }),
      { numRuns: 500 },
    )
  })

  test('has members that parse to the same object', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })),
        (object) => {
          expect(JSON.parse(`{${jsonMembers(object)}}`)).toEqual(JSON.parse(JSON.stringify(object)))
        },
      ),
    )
  })
})

describe('lengths are limited:', () => {
  test('a user agent is truncated to 1024 characters, as by kube-apiserver', () => {
    const event = JSON.parse(lineWith('u'.repeat(5_000))) as AuditEvent
    expect(event.userAgent).toBe(`${'u'.repeat(1_024)}...TRUNCATED`)
  })

  test('a user agent of exactly 1024 characters is not truncated', () => {
    const event = JSON.parse(lineWith('u'.repeat(1_024))) as AuditEvent
    expect(event.userAgent).toBe('u'.repeat(1_024))
  })

  test('messages, reasons and targets are truncated', () => {
    const event = JSON.parse(lineWith('m'.repeat(100_000))) as AuditEvent
    expect(event.responseStatus?.message).toBe(`${'m'.repeat(2_048)}...TRUNCATED`)
    expect(event.annotations['authorization.k8s.io/reason']).toBe(
      `${'m'.repeat(1_024)}...TRUNCATED`,
    )
    expect(event.requestURI).toBe(`${'m'.repeat(4_096)}...TRUNCATED`)
  })

  test('truncation within a surrogate pair still yields one line of JSON', () => {
    const event = JSON.parse(lineWith(`u${'😀'.repeat(600)}`)) as AuditEvent
    expect(event.userAgent).toBe(`u${'😀'.repeat(511)}\ud83d...TRUNCATED`)
  })
})
