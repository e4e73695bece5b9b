import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'

import { expect, test } from 'vitest'

import { createHandshakeBudget, USUAL_BYTES } from '../../src/listener/handshake-budget.ts'

class FakeSocket extends EventEmitter {
  bytesRead = 0
  destroyed = false

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}

function setup(burst = 500) {
  const clock = { now: 0 }
  const evicted: string[] = []
  const handshakes = createHandshakeBudget(
    { rate: { requestsPerSecond: 100, burst }, maxTrackedKeys: 10 },
    { onEvicted: (address) => evicted.push(address), now: () => clock.now },
  )
  const begin = (address = 'a') => {
    const socket = new FakeSocket()
    const allowed = handshakes.begin(address, socket as unknown as Socket)
    return { socket, allowed }
  }
  const done = (socket: FakeSocket, chainBytes: number, address = 'a') =>
    handshakes.done(address, socket as unknown as Socket, chainBytes)
  return { clock, evicted, begin, done }
}

test('a handshake with certificates of usual length costs the same as one without', () => {
  const { begin, done } = setup(10)
  for (let i = 0; i < 10; i++) {
    const { socket, allowed } = begin()
    expect(allowed).toBe(true)
    done(socket, USUAL_BYTES)
    // Bytes after the handshake do not count.
    socket.bytesRead = 1_000_000
    socket.destroy()
  }
  expect(begin().allowed).toBe(false)
})

test('long certificates spend the budget of an address, and its handshakes in progress are closed', () => {
  const { begin, done, evicted, clock } = setup(500)
  const others = begin('b')
  const waiting = [begin(), begin()]
  for (let i = 0; i < 3; i++) {
    const { socket, allowed } = begin()
    expect(allowed).toBe(true)
    done(socket, USUAL_BYTES + 1)
  }
  expect(waiting.map(({ socket }) => socket.destroyed)).toEqual([true, true])
  expect(evicted).toEqual(['a', 'a'])
  expect(begin().allowed).toBe(false)
  expect(others.socket.destroyed).toBe(false)
  expect(begin('b').allowed).toBe(true)
  clock.now += 2_000
  expect(begin().allowed).toBe(true)
})

test('a handshake that is aborted after many bytes costs as much', () => {
  const { begin } = setup(300)
  for (let i = 0; i < 2; i++) {
    const { socket } = begin()
    socket.bytesRead = USUAL_BYTES + 1
    socket.destroy()
  }
  expect(begin().allowed).toBe(false)
})

test('the oldest of more than 64 handshakes in progress is closed; completed ones do not count', () => {
  const { begin, done, evicted } = setup()
  const finished = begin()
  done(finished.socket, 0)
  const sockets = Array.from({ length: 66 }, () => begin().socket)
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual(sockets.map((_, i) => i < 2))
  expect(finished.socket.destroyed).toBe(false)
  expect(evicted).toEqual(['a', 'a'])
})

test('beyond 256 handshakes of all addresses, the oldest of the address with the most is closed', () => {
  const { begin, done, evicted } = setup()
  const few = begin('few')
  const most = Array.from({ length: 60 }, () => begin('most').socket)
  for (let i = 0; i < 195; i++) begin(`address ${i}`)
  expect(evicted).toEqual([])
  const last = begin('one more')
  expect(evicted).toEqual(['most'])
  expect([few, last].map(({ socket }) => socket.destroyed)).toEqual([false, false])
  expect(most.map(({ destroyed }) => destroyed)).toEqual(most.map((_, i) => i < 1))
  // A completed handshake makes room.
  done(few.socket, 0, 'few')
  begin('yet another')
  expect(evicted).toEqual(['most'])
})

test('a handshake that is closed to make room after many bytes costs its address as much', () => {
  const { begin } = setup(300)
  const { socket } = begin()
  socket.bytesRead = USUAL_BYTES + 1
  for (let i = 0; i < 64; i++) begin()
  expect(socket.destroyed).toBe(true)
  // 65 handshakes and the usual price of 200 for the long one: 35 are left.
  const left = Array.from({ length: 40 }, () => begin().allowed)
  expect(left.filter((allowed) => allowed)).toHaveLength(35)
})

test('a debt never exceeds the bucket, so that an address can connect again', () => {
  const { begin, done, clock } = setup(100)
  const begun = [begin(), begin()]
  for (const { socket } of begun) done(socket, USUAL_BYTES + 1)
  clock.now += 1_000
  expect(begin().allowed).toBe(false)
  clock.now += 100
  expect(begin().allowed).toBe(true)
})
