import { Writable } from 'node:stream'

import { describe, expect, test } from 'vitest'

import type { BodyReceiver } from '../../../src/http/exchange.ts'
import { BodySender, framingHeaders } from '../../../src/upstream/http1/request-sender.ts'
import type { RequestBody } from '../../../src/upstream/request-body.ts'

class FakeBody implements RequestBody {
  waitsForClient = true
  receiver: BodyReceiver | undefined
  readonly calls: string[] = []
  receive(receiver: BodyReceiver): void {
    this.receiver = receiver
  }
  pause(): void {
    this.calls.push('pause')
  }
  resume(): void {
    this.calls.push('resume')
  }
  discard(): void {
    this.calls.push('discard')
  }
}

function startSender(contentLength: number | undefined) {
  let written = ''
  const socket = new Writable({
    highWaterMark: 10_000,
    write(chunk: Buffer, _encoding, callback) {
      written += chunk.toString('latin1')
      callback()
    },
  })
  const body = new FakeBody()
  const errors: Error[] = []
  const sender = new BodySender({
    ...{ socket, body, contentLength, head: 'HEAD ' },
    onProgress: () => undefined,
    onError: (error) => errors.push(error),
  })
  sender.start()
  return { sender, body, errors, sent: () => written, receiver: body.receiver! }
}

describe('a body', () => {
  test('of known length follows the head, which waits for it', () => {
    const { sender, sent, receiver } = startSender(5)
    expect(sent()).toBe('')
    receiver.onData(Buffer.from('hel'))
    receiver.onData(Buffer.from('lo'))
    expect(sender.isComplete).toBe(false)
    receiver.onEnd()
    expect(sender.isComplete).toBe(true)
    expect(sent()).toBe('HEAD hello')
  })

  test('in chunks is framed, and an empty piece does not end it', () => {
    const { sender, sent, receiver } = startSender(undefined)
    for (const piece of ['hello', '', '0\r\n\r\n', 'x'.repeat(17)])
      receiver.onData(Buffer.from(piece))
    receiver.onEnd()
    expect(sent()).toBe(`HEAD 5\r\nhello\r\n5\r\n0\r\n\r\n\r\n11\r\n${'x'.repeat(17)}\r\n0\r\n\r\n`)
    expect(sender.isComplete).toBe(true)
  })

  test.for([undefined, 0])('without a byte (length %s) is sent as such', (length) => {
    const { sender, sent, receiver } = startSender(length)
    receiver.onEnd()
    expect(sent()).toBe(length === undefined ? 'HEAD 0\r\n\r\n' : 'HEAD ')
    expect(sender.isComplete).toBe(true)
  })

  test.for([
    ['longer', ['hello', '!']],
    ['shorter', ['hell']],
  ] as const)(
    'that is %s than announced fails, and nothing beyond its length is sent',
    ([, pieces]) => {
      const { sender, sent, errors, receiver } = startSender(5)
      for (const piece of pieces) receiver.onData(Buffer.from(piece))
      if (errors.length === 0) receiver.onEnd()
      expect(errors).toMatchObject([{ kind: 'request', code: 400 }])
      expect(sender.isComplete).toBe(false)
      expect(sent().length).toBeLessThanOrEqual('HEAD hello'.length)
    },
  )

  test('is paused while the connection takes no more, and dropped once it is stopped', () => {
    const { sender, body, sent, receiver } = startSender(undefined)
    receiver.onData(Buffer.alloc(20_000))
    sender.drained()
    sender.stop()
    const { length } = sent()
    receiver.onData(Buffer.from('late'))
    receiver.onEnd()
    sender.drained()
    expect(body.calls).toEqual(['pause', 'resume', 'discard'])
    expect(sent().length).toBe(length)
    expect(sender.isComplete).toBe(false)
  })
})

test('every request has the framing of its body, and only that', () => {
  const body = new FakeBody()
  const framing = (method: string, length?: number, withBody = true): readonly string[] =>
    framingHeaders({ method, contentLength: length, body: withBody ? body : undefined })
  expect(framing('POST', 5)).toEqual(['content-length', '5'])
  expect(framing('DELETE')).toEqual(['transfer-encoding', 'chunked'])
  expect(framing('POST', undefined, false)).toEqual(['content-length', '0'])
  expect(framing('GET', undefined, false)).toEqual([])
})
