import { expect, test } from 'vitest'

import { createLossyOutput } from '../src/lossy-output.ts'
import type { Output } from '../src/output.ts'

/** An output whose reader reads only while `gate` is open. */
function slowOutput() {
  let text = ''
  let gate = Promise.resolve()
  const failures: NodeJS.ErrnoException[] = []
  const output: Output = {
    async write(bytes) {
      await gate
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      const part = bytes.subarray(0, 1_000)
      text += part.toString()
      return part.length
    },
  }
  return {
    output,
    failures,
    text: () => text,
    stop() {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      gate = promise.then(() => undefined)
      return () => resolve(undefined)
    },
  }
}

const failure = (code: string) => Object.assign(new Error(code), { code })
const reportDropped = (count: number): string => `dropped ${count}\n`

test('texts are written in their order', async () => {
  const slow = slowOutput()
  const lossy = createLossyOutput({}, slow)
  const lines = Array.from({ length: 500 }, (_, n) => `${n} ${'x'.repeat(n % 7)}\n`)
  for (const line of lines) lossy.write(line)
  await lossy.flush(10_000)
  expect(slow.text()).toBe(lines.join(''))
  expect(lossy.dropped).toBe(0)
})

test('a reader that stops costs a limited number of bytes; the rest is dropped, counted and reported', async () => {
  const slow = slowOutput()
  const lossy = createLossyOutput({ maxBufferBytes: 100, reportDropped }, slow)
  const resume = slow.stop()
  for (let n = 0; n < 1_000; n++) lossy.write('123456789\n')
  expect(lossy.dropped).toBe(990)
  resume()
  await expect.poll(() => slow.text()).toBe('123456789\n'.repeat(10) + 'dropped 990\n')
  lossy.write('again\n')
  await lossy.flush(10_000)
  expect(slow.text()).toMatch(/dropped 990\nagain\n$/)
  expect(lossy.dropped).toBe(990)
})

test('a flush ends at its deadline when nobody reads, and at once when nothing is left', async () => {
  const slow = slowOutput()
  const lossy = createLossyOutput({}, slow)
  await lossy.flush(3_600_000)
  slow.stop()
  lossy.write('never read\n')
  await lossy.flush(10)
  expect(slow.text()).toBe('')
})

test('a full terminal is tried again, and another failure loses only its batch', async () => {
  const slow = slowOutput()
  const lossy = createLossyOutput({ reportDropped }, slow)
  slow.failures.push(failure('EAGAIN'), failure('EAGAIN'))
  lossy.write('kept\n')
  await lossy.flush(10_000)
  slow.failures.push(failure('ENOSPC'))
  lossy.write('lost\n')
  await lossy.flush(10_000)
  lossy.write('after\n')
  await lossy.flush(10_000)
  expect(slow.text()).toBe('kept\nafter\ndropped 1\n')
})
