/** Takes a lock and writes what happens into a file: `hold`, or exits while it holds it. */
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { takeLock } from '../../src/client/session/lock.ts'

const [name = '', log = '', mode = ''] = process.argv.slice(2)
const lock = await takeLock({ name, timeout: 60_000 })
appendFileSync(log, `+${process.pid}\n`)
if (mode === 'crash') process.kill(process.pid, 'SIGKILL')
await sleep(20)
appendFileSync(log, `-${process.pid}\n`)
lock.release()
