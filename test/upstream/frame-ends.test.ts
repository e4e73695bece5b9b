import { describe, expect, test } from 'vitest'

import type { FrameEnds } from '../../src/upstream/frame-ends.ts'
import { createResponseFrames } from '../../src/upstream/response-frames.ts'
import { createSpdyFrames, createWebSocketMessages } from '../../src/upstream/tunnel-frames.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf;stream=watch'
const CBOR = 'application/cbor-seq'
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

/** The numbers of bytes after which the stream may end, whatever the chunks are. */
function endsOf(contentType: string | undefined, bytes: Buffer): number[] {
  return endsIn(() => createResponseFrames(contentType), bytes)
}

function endsIn(create: () => FrameEnds, bytes: Buffer): number[] {
  const ends: number[] = []
  const byByte = create()
  for (let length = 1; length <= bytes.length; length++) {
    const ended = byByte.add(bytes.subarray(length - 1, length))
    expect(ended).toBe(byByte.isAtEnd ? 1 : 0)
    const atOnce = create()
    const end = atOnce.add(bytes.subarray(0, length))
    expect(atOnce.isAtEnd).toBe(byByte.isAtEnd)
    if (byByte.isAtEnd) ends.push(length)
    expect(end).toBe(ends.at(-1) ?? 0)
  }
  return ends
}

test('a stream that has not begun is at an end', () => {
  const types = [undefined, 'application/json', PROTOBUF, CBOR]
  expect(types.map((type) => createResponseFrames(type).isAtEnd)).toEqual([true, true, true, true])
})

test.for([undefined, 'application/json;stream=watch', 'text/plain'])('%s ends at lines', (type) => {
  expect(endsOf(type, Buffer.from('{}\n{"a":1}\n{'))).toEqual([3, 11])
})

test('length-delimited protobuf ends between two frames, also where a frame contains a newline', () => {
  const bytes = hex('00000003 0a0a0a 00000000 00000001 0a 000000ff 0a')
  expect(endsOf(PROTOBUF, bytes)).toEqual([7, 11, 16])
})

describe('a sequence of CBOR ends between two items', () => {
  test.for([
    [
      'numbers, simple values and floats',
      '00 1818 190100 1b0000000000000001 20 f5 f93c00',
      [1, 3, 6, 15, 16, 17, 20],
    ],
    ['strings, also empty ones', '40 420a0a 60 6161 5803 0a0a0a', [1, 4, 5, 7, 12]],
    ['arrays and maps', '80 a0 820102 a161618101', [1, 2, 5, 10]],
    ['tags, such as self-described CBOR', 'd9d9f7 a0 c1 00', [4, 6]],
    [
      'containers and strings of indefinite length',
      '9f 01 9fff ff bf 6161 01 ff 5f 4101 4102 ff',
      [5, 10, 16],
    ],
  ] as const)('%s', ([, bytes, ends]) => {
    expect(endsOf(CBOR, hex(bytes))).toEqual(ends)
  })

  test.for([
    ['a break outside of a container', 'ff00'],
    ['a break in a container of definite length', '8201ff0000'],
    ['a reserved head', '1c00'],
    ['arrays nested too deeply', `${'81'.repeat(600)}00`],
  ] as const)('but not behind %s', ([, bytes]) => {
    expect(endsOf(CBOR, hex(bytes))).toEqual([])
  })
})

describe('a WebSocket ends between two messages', () => {
  test.for([
    ['of each form of length', '8201 aa 82 7e 0002 aaaa 82 7f 0000000000000001 aa', [3, 9, 20]],
    ['empty ones, and control frames', '8200 8900 8801 aa', [2, 4, 7]],
    ['masked ones', '8281 01020304 aa', [7]],
    ['in pieces, also around a control frame', '0201 aa 0001 aa 8900 8000 8200', [10, 12]],
  ] as const)('%s', ([, bytes, ends]) => {
    expect(endsIn(createWebSocketMessages, hex(bytes))).toEqual(ends)
  })
})

test('SPDY ends between two frames, of control or data', () => {
  const bytes = hex('80030001 00000002 aaaa 00000001 01000000 00000003 00000001 aa 8003')
  expect(endsIn(createSpdyFrames, bytes)).toEqual([10, 18, 27])
})
