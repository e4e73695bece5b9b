/**
 * A process whose events go to its standard output. It writes lines of about 1 KB, `count` of them,
 * as long as the sink says that it takes records; then it says on stderr what it saw, and ends by
 * `process.exit` without waiting for anything if `how` is `exit`, else after closing the sink.
 */
import { createStdoutSink } from '../../../src/audit/sinks/stdout.ts'
import { createLog } from '../../../src/log.ts'

const count = Number(process.argv[2])
const how = process.argv[3]
const sink = createStdoutSink({
  log: createLog({ level: 'silent' }),
  maxBufferBytes: 1_048_576,
})
const padding = 'x'.repeat(1_000)
let turns = 0
const ticking = setInterval(() => turns++, 1)
let written = 0
while (written < count && sink.failure() === undefined) {
  if (sink.write(`${JSON.stringify({ n: written, padding })}\n`)) written++
  if (written % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}
clearInterval(ticking)
const failure = sink.failure()
if (how === 'close') await sink.close()
process.stderr.write(`${JSON.stringify({ written, failure, turned: turns > 0 })}\n`)
if (how === 'exit') process.exit(0)
