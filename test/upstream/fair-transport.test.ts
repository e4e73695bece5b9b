import { expect, test } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { createFairQueue, type FairQueue } from '../../src/upstream/fair-queue.ts'
import { createFairTransport } from '../../src/upstream/fair-transport.ts'
import type {
  ResponseReceiver,
  Transport,
  UpstreamControl,
  UpstreamRequest,
} from '../../src/upstream/transport.ts'

const REQUEST: UpstreamRequest = {
  user: 'ada',
  method: 'GET',
  path: '/first',
  headers: [],
  contentLength: undefined,
  body: undefined,
  isLongRunning: false,
}

/** A transport that does nothing by itself, and what was called of it. */
class ManualTransport implements Transport {
  readonly sent: { readonly path: string; readonly receiver: ResponseReceiver }[] = []
  readonly calls: string[] = []
  error: Error | undefined

  send({ path }: UpstreamRequest, receiver: ResponseReceiver): void {
    if (this.error !== undefined) throw this.error
    this.sent.push({ path, receiver })
  }

  async close(): Promise<void> {
    this.calls.push('close')
    await Promise.resolve()
  }

  async destroy(): Promise<void> {
    this.calls.push('destroy')
    await Promise.resolve()
  }

  get paths(): string[] {
    return this.sent.map(({ path }) => path)
  }
}

/** Records what it is called with. */
class Recorder implements ResponseReceiver {
  readonly calls: string[] = []
  control: UpstreamControl | undefined

  onWait(control: UpstreamControl): void {
    this.calls.push('wait')
    this.control = control
  }

  onStart(control: UpstreamControl): void {
    this.calls.push('start')
    this.control = control
  }
  onHead(status: number): void {
    this.calls.push(`head ${status}`)
  }
  onData(chunk: Buffer, giveBack?: () => void): void {
    giveBack?.()
    this.calls.push(`data ${chunk.toString()}`)
  }
  onEnd(last?: Buffer): void {
    this.calls.push(last === undefined ? 'end' : `end ${last.toString()}`)
  }
  onError(error: Error): void {
    this.calls.push(`error ${error.message}`)
  }
}

const CONTROL: UpstreamControl = {
  pause: () => undefined,
  resume: () => undefined,
  abort: () => undefined,
}

function setUp(holds: 'response' | 'start') {
  const below = new ManualTransport()
  const queue: FairQueue = createFairQueue(
    { places: 1, maxRequests: 1, maxRequestsPerUser: 1, maxWait: 60_000 },
    {},
  )
  const transport = createFairTransport({ transport: below, queue, holds })
  const send = (path: string): Recorder => {
    const recorder = new Recorder()
    transport.send({ ...REQUEST, path }, recorder)
    return recorder
  }
  return { below, queue, transport, send }
}

test('a request without a wait passes through, and everything of its response', () => {
  const { below, send } = setUp('response')
  const first = send('/first')
  const { receiver } = below.sent[0]!
  receiver.onStart(CONTROL)
  expect(first.control).toBe(CONTROL)
  receiver.onHead(200, {})
  receiver.onData(Buffer.from('x'))
  receiver.onEnd()
  expect(first.calls).toEqual(['start', 'head 200', 'data x', 'end'])
})

test('what a transport lends is given back, and the last bytes are passed on', () => {
  const { below, send } = setUp('response')
  const first = send('/first')
  const lent: string[] = []
  below.sent[0]?.receiver.onStart(CONTROL)
  below.sent[0]?.receiver.onHead(200, {})
  below.sent[0]?.receiver.onData(Buffer.from('x'), () => lent.push('given back'))
  below.sent[0]?.receiver.onEnd(Buffer.from('last'))
  expect(first.calls.slice(-2)).toEqual(['data x', 'end last'])
  expect(lent).toEqual(['given back'])
})

test.for(['onEnd', 'onError'] as const)('%s of a response gives its place to the next', (end) => {
  const { below, send } = setUp('response')
  send('/first')
  const second = send('/second')
  below.sent[0]?.receiver.onStart(CONTROL)
  below.sent[0]?.receiver.onHead(200, {})
  expect(below.paths).toEqual(['/first'])
  if (end === 'onEnd') below.sent[0]?.receiver.onEnd()
  else below.sent[0]?.receiver.onError(new Error('reset'))
  expect(below.paths).toEqual(['/first', '/second'])
  below.sent[1]?.receiver.onStart(CONTROL)
  expect(second.control).toBe(CONTROL)
})

test('a stream gives its place to the next as soon as it has a connection, and only once', () => {
  const { below, queue, send } = setUp('start')
  send('/first')
  send('/second')
  below.sent[0]?.receiver.onStart(CONTROL)
  expect(below.paths).toEqual(['/first', '/second'])
  // A stream that was refused is sent again.
  below.sent[0]?.receiver.onStart(CONTROL)
  below.sent[0]?.receiver.onEnd()
  send('/third')
  expect(below.paths).toEqual(['/first', '/second'])
  expect(queue.waiting).toBe(1)
})

test('a request that is aborted while it waits is never sent', () => {
  const { below, queue, send } = setUp('response')
  send('/first')
  const second = send('/second')
  second.control?.pause()
  second.control?.resume()
  second.control?.abort(new Error('the client is gone'))
  second.control?.abort(new Error('twice'))
  expect(second.calls).toEqual(['wait', 'error the client is gone'])
  expect(queue.waiting).toBe(0)
  below.sent[0]?.receiver.onEnd()
  expect(below.paths).toEqual(['/first'])
})

test('a request that the transport refuses gives its place back', () => {
  const { below, send } = setUp('response')
  below.error = new Error('closed')
  expect(send('/first').calls).toEqual(['error closed'])
  below.error = undefined
  send('/second')
  expect(below.paths).toEqual(['/second'])
})

test('a request beyond the limit is refused, and is never sent', () => {
  const { below, send } = setUp('response')
  send('/first')
  send('/second')
  expect(() => send('/third')).toThrow(StatusError)
  expect(below.paths).toEqual(['/first'])
})

test('closing waits for the requests that wait', async () => {
  const { below, transport, send } = setUp('response')
  send('/first')
  send('/second')
  const closed = transport.close()
  await Promise.resolve()
  expect(below.calls).toEqual([])
  below.sent[0]?.receiver.onEnd()
  await closed
  expect(below.paths).toEqual(['/first', '/second'])
  expect(below.calls).toEqual(['close'])
})

test('destroying refuses the requests that wait', async () => {
  const { below, transport, send } = setUp('response')
  send('/first')
  const second = send('/second')
  await transport.destroy()
  expect(second.calls).toEqual(['wait', 'error Gatehouse is shutting down'])
  expect(below.calls).toEqual(['destroy'])
})
