import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { createCircuit, PROBE_INTERVAL_MS } from '../../src/state/circuit.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function start(probe: () => Promise<void>) {
  const changes: (string | undefined)[] = []
  const circuit = createCircuit(
    { startsWith: 'not tried' },
    { probe, onChange: (problem) => changes.push(problem) },
  )
  return { circuit, changes }
}

describe('a circuit', () => {
  test('is open until the first probe succeeds', async () => {
    const { circuit, changes } = start(() => Promise.resolve())
    expect(circuit.problem).toBe('not tried')
    await vi.advanceTimersByTimeAsync(0)
    expect(circuit.problem).toBeUndefined()
    expect(changes).toEqual([undefined])
  })

  test('opens with the first failure, and reports it once', async () => {
    const { circuit, changes } = start(() => Promise.resolve())
    await vi.advanceTimersByTimeAsync(0)
    circuit.open('timeout')
    circuit.open('another one')
    expect(circuit.problem).toBe('timeout')
    expect(changes).toEqual([undefined, 'timeout'])
  })

  test('probes one at a time, keeps the last reason, and closes with the first success', async () => {
    const waiting: { resolve: () => void; reject: (error: Error) => void }[] = []
    const { circuit, changes } = start(
      () => new Promise((resolve, reject) => waiting.push({ resolve, reject })),
    )
    await vi.advanceTimersByTimeAsync(10 * PROBE_INTERVAL_MS)
    expect(waiting).toHaveLength(1)
    waiting[0]?.reject(new Error('no route'))
    await vi.advanceTimersByTimeAsync(PROBE_INTERVAL_MS)
    expect(circuit.problem).toBe('no route')
    expect(waiting).toHaveLength(2)
    waiting[1]?.resolve()
    await vi.advanceTimersByTimeAsync(0)
    expect(changes).toEqual([undefined])
    await vi.advanceTimersByTimeAsync(10 * PROBE_INTERVAL_MS)
    expect(waiting).toHaveLength(2)
  })

  test('does nothing after it was stopped', async () => {
    const { circuit, changes } = start(() => Promise.resolve())
    circuit.stop()
    await vi.advanceTimersByTimeAsync(10 * PROBE_INTERVAL_MS)
    circuit.open('late')
    expect(changes).toEqual([])
  })
})
