import { describe, expect, test, vi } from 'vitest'

import {
  createLineWriter,
  type LineDevice,
  type LineWriterOptions,
  type NextWrite,
} from '../../../src/audit/sinks/line-writer.ts'
import { memoryLog } from '../fixtures.ts'

/** A device that collects what is written; the test scripts the result of each write. */
class ScriptedDevice implements LineDevice {
  text = ''
  readonly batches: string[] = []
  readonly prepared: NextWrite[] = []
  closed = 0
  /** Bytes that the next writes take, or an Error that one fails with. Afterwards writes take everything. */
  script: (number | Error)[] = []
  /** The result of the next `prepare`. */
  elsewhere = false
  /** Writes wait for this promise. */
  gate = Promise.resolve()

  prepare(next: NextWrite): Promise<boolean> {
    this.prepared.push(next)
    const { elsewhere } = this
    this.elsewhere = false
    if (elsewhere) this.text += '|'
    return Promise.resolve(elsewhere)
  }

  async write(batch: Buffer, offset: number): Promise<number> {
    await this.gate
    const step = this.script.shift()
    if (step instanceof Error) throw step
    const end = step === undefined ? batch.length : offset + step
    const text = batch.toString('utf8', offset, end)
    this.batches.push(text)
    this.text += text
    return end - offset
  }

  close(): Promise<void> {
    this.closed++
    return Promise.resolve()
  }
}

function setup(options: Partial<LineWriterOptions> = {}) {
  const device = new ScriptedDevice()
  const { log, lines } = memoryLog()
  const delays = { flushDelay: 1, retryDelay: 1, maxRetryDelay: 2, closeTimeout: 200 }
  const sink = createLineWriter({ name: 'test', ...delays, ...options }, { device, log })
  return { device, sink, logLines: lines }
}

const enospc = () =>
  Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })

describe('batches', () => {
  test('lines that arrive together are written together', async () => {
    const { device, sink } = setup()
    sink.write('one\n')
    sink.write('two\n')
    await expect.poll(() => device.text).toBe('one\ntwo\n')
    expect(device.batches).toHaveLength(1)
  })

  test('lines that arrive during a write form the next batch', async () => {
    const { device, sink } = setup()
    const { promise, resolve: open } = Promise.withResolvers<undefined>()
    device.gate = promise.then(() => undefined)
    sink.write('one\n')
    const flushed = sink.flush()
    sink.write('two\n')
    sink.write('three\n')
    open(undefined)
    await flushed
    await sink.flush()
    expect(device.batches).toEqual(['one\n', 'two\nthree\n'])
  })

  test('a batch ends at the end of a line, and a longer line is a batch of its own', async () => {
    const { device, sink } = setup({ batchBytes: 30 })
    const lines = ['a'.repeat(20), 'b'.repeat(20), 'c'.repeat(100), 'ä'.repeat(14), 'd', 'e']
    for (const line of lines) sink.write(`${line}\n`)
    await sink.close()
    expect(device.text).toBe(lines.map((line) => `${line}\n`).join(''))
    for (const batch of device.batches) expect(batch.endsWith('\n')).toBe(true)
    expect(device.batches).toContain(`${'c'.repeat(100)}\n`)
  })

  test('memory of written chunks is reused without corrupting lines', async () => {
    const { device, sink } = setup({ batchBytes: 64 })
    let expected = ''
    for (let round = 0; round < 50; round++) {
      for (let line = 0; line < 7; line++) {
        const text = `${'x'.repeat((round * 7 + line) % 40)}${round}.${line}\n`
        expected += text
        expect(sink.write(text)).toBe(true)
      }
      await sink.flush()
    }
    expect(device.text).toBe(expected)
  })

  test('flush resolves immediately when there is nothing to write', async () => {
    const { device, sink } = setup()
    await sink.flush()
    expect(device.prepared).toEqual([])
  })
})

describe('failures', () => {
  test('a partial write continues from the byte reached', async () => {
    const { device, sink } = setup()
    device.script = [2, 3, 1]
    sink.write('one\n')
    sink.write('two\n')
    await sink.flush()
    expect(device.text).toBe('one\ntwo\n')
    expect(device.prepared).toEqual([{ bytes: 8, retry: false, begun: false }])
  })

  test('a failed batch is reported, kept and retried', async () => {
    const { device, sink, logLines } = setup()
    device.script = [enospc(), enospc(), enospc()]
    sink.write('one\n')
    await sink.flush()
    expect(sink.failure()).toBe('ENOSPC: no space left on device, write')
    expect(sink.write('two\n')).toBe(true)
    await expect.poll(() => sink.failure()).toBeUndefined()
    await sink.flush()
    expect(device.text).toBe('one\ntwo\n')
    expect(logLines.map(({ level, msg }) => [level, msg])).toEqual([
      ['error', 'the audit log cannot be written'],
      ['info', 'the audit log can be written again'],
    ])
  })

  test('a batch that failed within continues from the byte reached', async () => {
    const { device, sink } = setup()
    device.script = [6, enospc()]
    sink.write('one\n')
    sink.write('two\n')
    await sink.flush()
    expect(sink.failure()).toBeDefined()
    await expect.poll(() => device.text).toBe('one\ntwo\n')
    expect(device.prepared.slice(1)).toEqual([{ bytes: 2, retry: true, begun: true }])
  })

  test('a batch that continues in another file begins with the line that was torn', async () => {
    const { device, sink } = setup()
    device.script = [6, enospc()]
    sink.write('one\n')
    sink.write('two\n')
    await sink.flush()
    device.elsewhere = true
    await expect.poll(() => device.text).toBe('one\ntw|two\n')
  })

  test('a first line that was torn begins again in another file', async () => {
    const { device, sink } = setup()
    device.script = [2, enospc()]
    sink.write('one\n')
    await sink.flush()
    device.elsewhere = true
    await expect.poll(() => device.text).toBe('on|one\n')
  })

  test('a write of 0 bytes is a failure, not a loop', async () => {
    const { device, sink } = setup()
    device.script = [0]
    sink.write('one\n')
    await sink.flush()
    expect(sink.failure()).toBe('the write returned 0 bytes')
    await expect.poll(() => device.text).toBe('one\n')
  })

  test('a device that cannot be prepared is a failure', async () => {
    const { device, sink } = setup()
    vi.spyOn(device, 'prepare').mockRejectedValueOnce(new Error('EACCES: permission denied, open'))
    sink.write('one\n')
    await sink.flush()
    expect(sink.failure()).toBe('EACCES: permission denied, open')
    await expect.poll(() => device.text).toBe('one\n')
  })
})

describe('limits', () => {
  test('beyond half of the buffer the sink reports a failure, beyond all of it lines are lost', async () => {
    const { device, sink } = setup({ maxBufferBytes: 1_000, batchBytes: 100 })
    const { promise, resolve: open } = Promise.withResolvers<undefined>()
    device.gate = promise.then(() => undefined)
    const line = `${'x'.repeat(99)}\n`
    const taken: boolean[] = []
    const refusing: boolean[] = []
    for (let count = 0; count < 12; count++) {
      taken.push(sink.write(line))
      refusing.push(sink.failure() !== undefined)
    }
    expect(taken).toEqual([...Array<boolean>(10).fill(true), false, false])
    expect(refusing).toEqual([...Array<boolean>(5).fill(false), ...Array<boolean>(7).fill(true)])
    expect(sink.failure()).toMatch(
      /^records arrive faster than they can be written: 1000 bytes are buffered$/,
    )
    open(undefined)
    await sink.flush()
    expect(sink.failure()).toBeUndefined()
    expect(device.text).toBe(line.repeat(10))
    expect(sink.write(line)).toBe(true)
  })
})

describe('close', () => {
  test('writes what is buffered, closes the device once, and takes no lines afterwards', async () => {
    const { device, sink } = setup({ flushDelay: 60_000 })
    sink.write('one\n')
    await Promise.all([sink.close(), sink.close()])
    expect(device.text).toBe('one\n')
    expect(device.closed).toBe(1)
    expect(sink.write('two\n')).toBe(false)
    expect(sink.failure()).toBe('the sink is closed')
  })

  test('retries until its timeout', async () => {
    const { device, sink } = setup()
    device.script = [enospc(), enospc(), enospc()]
    sink.write('one\n')
    await sink.close()
    expect(device.text).toBe('one\n')
  })

  test('reports how much was lost at its timeout', async () => {
    const { device, sink, logLines } = setup({ closeTimeout: 20 })
    vi.spyOn(device, 'write').mockRejectedValue(enospc())
    sink.write('one\n')
    await sink.close()
    expect(device.closed).toBe(1)
    expect(logLines.at(-1)).toMatchObject({
      level: 'error',
      bytes: 4,
      reason: 'ENOSPC: no space left on device, write',
    })
  })

  test('does not wait for a write that hangs', async () => {
    const { device, sink, logLines } = setup({ closeTimeout: 20 })
    device.gate = new Promise(() => undefined)
    sink.write('one\n')
    await sink.close()
    expect(logLines.at(-1)).toMatchObject({ level: 'error', bytes: 4 })
  })
})

describe('waiting for lines', () => {
  /** The results of waits, by name, as they come in. */
  function watch() {
    const results: [string, boolean][] = []
    const note = (name: string, wait: Promise<boolean>) =>
      void wait.then((isWritten) => results.push([name, isWritten]))
    return { results, note }
  }

  test('lines that something waits for are written without delay, those of a turn together', async () => {
    const { device, sink } = setup({ flushDelay: 600_000 })
    sink.write('one\n')
    const first = sink.written()
    sink.write('two\n')
    const second = sink.written()
    expect(await Promise.all([first, second])).toEqual([true, true])
    expect(device.batches).toEqual(['one\ntwo\n'])
    expect(await sink.written()).toBe(true)
  })

  test('a wait ends with the batch that its line is in, not before', async () => {
    const { device, sink } = setup({ flushDelay: 600_000 })
    const { results, note } = watch()
    const gates = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()]
    device.gate = gates[0]!.promise.then(() => undefined)
    sink.write('one\n')
    note('one', sink.written())
    await expect.poll(() => device.prepared).toHaveLength(1)
    sink.write('two\n')
    note('two', sink.written())
    gates[0]!.resolve(undefined)
    device.gate = gates[1]!.promise.then(() => undefined)
    await expect.poll(() => device.prepared).toHaveLength(2)
    expect(results).toEqual([['one', true]])
    gates[1]!.resolve(undefined)
    await expect
      .poll(() => results)
      .toEqual([
        ['one', true],
        ['two', true],
      ])
    expect(device.text).toBe('one\ntwo\n')
  })

  test('a partial write does not end a wait', async () => {
    const { device, sink } = setup()
    device.script = [4, enospc()]
    sink.write('one\n')
    sink.write('two\n')
    expect(await sink.written()).toBe(false)
    expect(device.text).toBe('one\n')
  })

  test('while the sink fails nobody waits, and lines are written afterwards', async () => {
    const { device, sink } = setup()
    device.script = [enospc()]
    sink.write('one\n')
    expect(await sink.written()).toBe(false)
    sink.write('two\n')
    expect(await sink.written()).toBe(false)
    await expect.poll(() => sink.failure()).toBeUndefined()
    sink.write('three\n')
    expect(await sink.written()).toBe(true)
    expect(device.text).toBe('one\ntwo\nthree\n')
  })

  test('a write that does not end is a failure for those who wait, until it ends', async () => {
    const { device, sink, logLines } = setup({ stallTimeout: 5 })
    const { promise, resolve: open } = Promise.withResolvers<undefined>()
    device.gate = promise.then(() => undefined)
    sink.write('one\n')
    expect(await sink.written()).toBe(false)
    expect(sink.failure()).toBe('no write has ended for 0.005 s')
    expect(await sink.written()).toBe(false)
    open(undefined)
    await expect.poll(() => sink.failure()).toBeUndefined()
    expect(device.text).toBe('one\n')
    expect(logLines.map(({ msg }) => msg)).toEqual([
      'the audit log cannot be written',
      'the audit log can be written again',
    ])
    sink.write('two\n')
    expect(await sink.written()).toBe(true)
  })

  test('a sink that nobody waits for does not fail however long a write takes', async () => {
    const { device, sink } = setup({ stallTimeout: 1 })
    const { promise, resolve: open } = Promise.withResolvers<undefined>()
    device.gate = promise.then(() => undefined)
    sink.write('one\n')
    await expect.poll(() => device.prepared).toHaveLength(1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(sink.failure()).toBeUndefined()
    open(undefined)
    await sink.close()
    expect(await sink.written()).toBe(false)
  })
})
