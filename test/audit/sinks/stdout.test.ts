import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import { describe, expect, test } from 'vitest'

import { createStdoutSink } from '../../../src/audit/sinks/stdout.ts'
import { memoryLog } from '../fixtures.ts'

const CHILD = fileURLToPath(new URL('stdout-child.ts', import.meta.url))

interface Report {
  readonly written: number
  readonly failure?: string
  readonly turned: boolean
}

/** The report in the last line of the child's stderr, and its exit code. */
async function reportOf(child: ChildProcess): Promise<Report & { code: number | null }> {
  const [stderr, [code]] = await Promise.all([
    text(child.stderr!),
    once(child, 'exit') as Promise<[number | null]>,
  ])
  const last = stderr.trimEnd().split('\n').at(-1) ?? ''
  return { ...(JSON.parse(last) as Report), code }
}

/** Resolves once the child pauses because its sink takes no more records. */
async function paused(child: ChildProcess): Promise<void> {
  let stderr = ''
  const onData = (chunk: Buffer): void => void (stderr += chunk.toString())
  child.stderr!.on('data', onData)
  await expect.poll(() => stderr).toContain('paused\n')
}

function numbersIn(output: string): number[] {
  return output
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { n: number }).n)
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('a pipe', () => {
  test('passes every line to a reader that reads', async () => {
    const child = spawn(process.execPath, [CHILD, '2000', 'close'])
    const [report, output] = await Promise.all([reportOf(child), text(child.stdout)])
    expect(report).toMatchObject({ written: 2_000, code: 0 })
    expect(numbersIn(output)).toEqual(upTo(2_000))
  })

  test('loses nothing when its reader pauses for so long that no more records are taken', async () => {
    const child = spawn(process.execPath, [CHILD, '2000', 'close'])
    const report = reportOf(child)
    await paused(child)
    const output = await text(child.stdout)
    expect(await report).toMatchObject({ written: 2_000, code: 0 })
    expect(numbersIn(output)).toEqual(upTo(2_000))
  })

  test('without a reader fails within a bounded buffer, and blocks neither the event loop nor the exit', async () => {
    const child = spawn(process.execPath, [CHILD, '100000', 'exit'])
    const report = await reportOf(child)
    expect(report.failure).toMatch(/^records arrive faster than they can be written/)
    expect(report).toMatchObject({ turned: true, code: 0 })
    // Half of the buffer, and what the kernel buffers for a pipe.
    expect(report.written).toBeLessThan(3_000)
  })

  test('fails when its reader leaves, and does not end the process', async () => {
    const child = spawn('sh', [
      '-c',
      '"$0" "$1" 100000 exit | head -c 2000 >/dev/null',
      process.execPath,
      CHILD,
    ])
    const report = await reportOf(child)
    expect(report.failure).toMatch(/EPIPE/)
  })
})

test('a file gets every line', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'gatehouse-audit-'))
  const path = join(directory, 'out')
  const fd = openSync(path, 'w')
  const child = spawn(process.execPath, [CHILD, '500', 'close'], { stdio: ['ignore', fd, 'pipe'] })
  closeSync(fd)
  expect(await reportOf(child)).toMatchObject({ written: 500, code: 0 })
  expect(numbersIn(readFileSync(path, 'utf8'))).toEqual(upTo(500))
  await rm(directory, { recursive: true })
})

describe('a stream in place of the standard output', () => {
  test('gets every line', async () => {
    const chunks: Buffer[] = []
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(Buffer.from(chunk))
        done()
      },
    })
    const sink = createStdoutSink({}, { log: memoryLog().log, stream })
    for (let n = 0; n < 10; n++) sink.write(`{"n":${n}}\n`)
    await sink.close()
    expect(numbersIn(Buffer.concat(chunks).toString())).toEqual(upTo(10))
    expect(stream.writableEnded).toBe(false)
  })

  test('is reported when it fails', async () => {
    const { log, lines } = memoryLog()
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EIO')) })
    const sink = createStdoutSink({}, { log, stream })
    sink.write('{}\n')
    await sink.flush()
    expect(sink.failure()).toBe('EIO')
    expect(lines).toMatchObject([{ level: 'error', sink: 'stdout' }])
  })
})
