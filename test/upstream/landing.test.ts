import { Readable } from 'node:stream'

import { expect, test } from 'vitest'

import { Landing } from '../../src/upstream/landing.ts'

function landingOf(socket: Readable): { landing: Landing; arrive: (text: string) => boolean } {
  const landing = new Landing()
  landing.attach(socket)
  const { onread } = landing
  const buffer = onread.buffer as Buffer
  const arrive = (text: string): boolean => onread.callback(buffer.write(text, 'latin1'), buffer)
  return { landing, arrive }
}

const readable = (highWaterMark = 100): Readable =>
  new Readable({ read: () => undefined, highWaterMark })

function readAll(socket: Readable): string {
  const chunks: Buffer[] = []
  for (let chunk = read(socket); chunk !== null; chunk = read(socket)) chunks.push(chunk)
  return Buffer.concat(chunks).toString('latin1')
}

function read(socket: Readable): Buffer | null {
  return socket.read() as Buffer | null
}

test('without a receiver, bytes are in the socket, whatever arrives later', () => {
  const socket = readable()
  const { arrive } = landingOf(socket)
  expect([arrive('first'), arrive('SECOND')]).toEqual([true, true])
  expect(readAll(socket)).toBe('firstSECOND')
})

test('a socket that holds enough is not read', () => {
  const { arrive } = landingOf(readable(4))
  expect([arrive('abc'), arrive('d')]).toEqual([true, false])
})

test('a receiver gets bytes directly, but not before those that wait in the socket', () => {
  const socket = readable()
  const { landing, arrive } = landingOf(socket)
  const direct: string[] = []
  arrive('a')
  landing.deliverTo((bytes) => direct.push(bytes.toString('latin1')))
  arrive('b')
  expect(direct).toEqual([])
  expect(readAll(socket)).toBe('ab')
  arrive('c')
  expect(direct).toEqual(['c'])
  expect(socket.readableLength).toBe(0)
})

test('nothing is delivered of a socket that was destroyed meanwhile', () => {
  const socket = readable()
  const { landing, arrive } = landingOf(socket)
  const direct: string[] = []
  landing.deliverTo((bytes) => {
    direct.push(bytes.toString('latin1'))
    socket.destroy()
  })
  expect([arrive('a'), arrive('b')]).toEqual([true, false])
  expect(direct).toEqual(['a'])
})
