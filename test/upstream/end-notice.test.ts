import { describe, expect, test } from 'vitest'

import type { RequestInfo } from '../../src/request/types.ts'
import { StatusError } from '../../src/status.ts'
import { responseNotice, tunnelNotice } from '../../src/upstream/end-notice.ts'

const LOCKED = new StatusError('Forbidden', 'the user is locked:\nask')
const STATUS = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'the user is locked:\nask',
  reason: 'Forbidden',
  code: 403,
}
const OVER = new StatusError('ServiceUnavailable', 'shutting down')

const info = (parts: Partial<RequestInfo>): RequestInfo =>
  ({
    ...{ isResourceRequest: true, verb: 'get', apiGroup: '', resource: 'pods', subresource: '' },
    ...parts,
  }) as RequestInfo
const watch = info({ verb: 'watch' })
const log = info({ subresource: 'log' })
const exec = info({ subresource: 'exec' })
const json = { 'content-type': 'application/json' }
const text = { 'content-type': 'text/plain' }

describe('a response', () => {
  test('that is a watch ends with an error event', () => {
    const notice = responseNotice(watch, 200, { 'content-type': 'application/json;stream=watch' })
    const event = String(notice?.(LOCKED))
    expect(event.endsWith('\n')).toBe(true)
    expect(event.trimEnd()).not.toContain('\n')
    expect(JSON.parse(event)).toEqual({ type: 'ERROR', object: STATUS })
  })

  test('that is a watch has no event where its client shall only connect again', () => {
    expect(responseNotice(watch, 200, json)?.(OVER)).toBeUndefined()
  })

  test('that is a log ends with one line', () => {
    const notice = responseNotice(log, 200, text)
    expect(String(notice?.(LOCKED))).toBe(
      'gatehouse: the log was cut off: the user is locked: ask\n',
    )
  })

  test.for([
    ['an error', watch, 410, json],
    ['a protobuf watch', watch, 200, { 'content-type': 'application/vnd.kubernetes.protobuf' }],
    ['a CBOR watch', watch, 200, { 'content-type': 'application/cbor-seq' }],
    ['a compressed watch', watch, 200, { ...json, 'content-encoding': 'gzip' }],
    ['a log of a known length', log, 200, { ...text, 'content-length': '12' }],
    ['a proxied service', info({ resource: 'services', subresource: 'proxy' }), 200, text],
    ['a watch of a proxied service', info({ verb: 'watch', subresource: 'proxy' }), 200, json],
    ['the log of another API', info({ apiGroup: 'x.io', subresource: 'log' }), 200, text],
    ['a profile', info({ isResourceRequest: false }), 200, text],
  ] as const)('of %s has no room for a notice', ([, of, status, headers]) => {
    expect(responseNotice(of, status, headers)).toBeUndefined()
  })
})

describe('a tunnel', () => {
  test.for(['v4.channel.k8s.io', 'v5.channel.k8s.io'])(
    'of WebSocket with %s says it on the error channel, and closes',
    (protocol) => {
      const bytes = tunnelNotice(exec, 'websocket', protocol)?.notice(LOCKED) ?? Buffer.alloc(0)
      expect(bytes.subarray(0, 2)).toEqual(Buffer.of(0x82, 126))
      const end = 4 + bytes.readUInt16BE(2)
      expect(bytes[4]).toBe(3)
      expect(JSON.parse(String(bytes.subarray(5, end)))).toEqual(STATUS)
      expect(bytes.subarray(end)).toEqual(Buffer.of(0x88, 2, 0x03, 0xe8))
    },
  )

  test.for([
    ['an older exec', exec, 'channel.k8s.io'],
    ['an exec in base64', exec, 'base64.channel.k8s.io'],
    ['a port-forward', info({ subresource: 'portforward' }), 'v4.channel.k8s.io'],
    ['a watch', watch, undefined],
  ] as const)('of WebSocket for %s closes with the reason', ([, of, protocol]) => {
    const bytes = tunnelNotice(of, 'websocket', protocol)?.notice(LOCKED) ?? Buffer.alloc(0)
    expect(bytes.subarray(0, 4)).toEqual(Buffer.of(0x88, bytes.length - 2, 0x03, 0xf0))
    expect(String(bytes.subarray(4))).toBe(LOCKED.message)
  })

  test('of WebSocket shortens the reason to whole characters of a control frame', () => {
    const long = new StatusError('Forbidden', 'é'.repeat(100))
    const bytes = tunnelNotice(watch, 'websocket', undefined)?.notice(long) ?? Buffer.alloc(0)
    expect(bytes[1]).toBe(124)
    expect(String(bytes.subarray(4))).toBe('é'.repeat(61))
  })

  test('of SPDY with v4 says it on the error stream, which ends', () => {
    const bytes = tunnelNotice(exec, 'SPDY/3.1', 'v4.channel.k8s.io')?.notice(LOCKED)
    expect(bytes?.subarray(0, 5)).toEqual(Buffer.of(0, 0, 0, 1, 1))
    expect(bytes?.readUIntBE(5, 3)).toBe((bytes?.length ?? 0) - 8)
    expect(JSON.parse(String(bytes?.subarray(8)))).toEqual(STATUS)
  })

  test.for([
    ['an older exec', exec, 'v3.channel.k8s.io'],
    ['a port-forward', info({ subresource: 'portforward' }), 'portforward.k8s.io'],
    ['a proxied service', info({ subresource: 'proxy' }), 'v4.channel.k8s.io'],
  ] as const)('of SPDY for %s has no room for a notice', ([, of, protocol]) => {
    expect(tunnelNotice(of, 'SPDY/3.1', protocol)).toBeUndefined()
  })
})
