/**
 * A process whose audit events go to its standard output. It writes `count` lines of about 1 KB and
 * ends with a line on stderr that reports what it saw.
 *
 * With `how` = `exit` it stops at the first failure of the sink and calls `process.exit` without
 * waiting for anything. With `close` it behaves as Gatehouse does with `onFailure: refuse`: it pauses
 * while the sink takes no records (and writes `paused` on stderr when that happens first), goes on
 * afterwards, and closes the sink.
 */
import { setTimeout as sleep } from 'node:timers/promises'

import { createStdoutSink } from '../../../src/audit/sinks/stdout.ts'
import { createLog } from '../../../src/log.ts'

/** Ends the process when the test that started it was killed. */
const MAX_PAUSE_MS = 30_000

const count = Number(process.argv[2])
const how = process.argv[3]
const sink = createStdoutSink(
  { maxBufferBytes: 1_048_576 },
  { log: createLog({ level: 'silent' }) },
)
const padding = 'x'.repeat(1_000)
let turns = 0
const ticking = setInterval(() => turns++, 1)
let written = 0
let pausedAt = 0
while (written < count) {
  if (sink.failure() !== undefined) {
    if (how === 'exit') break
    if (pausedAt === 0) process.stderr.write('paused\n')
    pausedAt ||= performance.now()
    if (performance.now() - pausedAt > MAX_PAUSE_MS) break
    await sleep(1)
    continue
  }
  if (sink.write(`${JSON.stringify({ n: written, padding })}\n`)) written++
  if (written % 10 === 0) await sleep(1)
}
clearInterval(ticking)
const failure = sink.failure()
if (how === 'close') {
  // Closing gives up after some seconds, which a reader on a busy machine may need.
  await sink.flush()
  await sink.close()
}
process.stderr.write(`${JSON.stringify({ written, failure, turned: turns > 0 })}\n`)
if (how === 'exit') process.exit(0)
