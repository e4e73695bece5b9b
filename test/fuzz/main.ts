/**
 * `npm run fuzz -- --minutes 60`: attacks the HTTP/1.1 client for the API server with random responses.
 * It ends with the first failure, which it prints with its seed, or when the time is over.
 */
import { inspect, parseArgs } from 'node:util'

import { fuzzPool } from './pool.ts'
import { fuzzReader } from './reader.ts'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, seed: { type: 'string' } },
})
const end = performance.now() + Number(values.minutes) * 60_000
let seed = Number(values.seed ?? Date.now() % 1_000_000_007)
const counts = { responses: 0, requests: 0 }
let reported = performance.now()

function report(line: string): void {
  process.stdout.write(`${line}\n`)
}

while (performance.now() < end) {
  try {
    counts.responses += await fuzzReader(seed)
    counts.requests += await fuzzPool(seed)
  } catch (error) {
    report(`failed with --seed ${seed}: ${inspect(error)}`)
    process.exit(1)
  }
  seed += 1
  if (performance.now() - reported > 30_000) {
    reported = performance.now()
    report(`${counts.responses} responses compared, ${counts.requests} requests over the pool`)
  }
}
report(`${counts.responses} responses compared, ${counts.requests} requests over the pool: passed`)
