import { setTimeout as sleep } from 'node:timers/promises'

import { openWatches, saturate } from '../load.ts'
import { eachProtocol, inFreshProcess, target, type Measurement } from '../measurement.ts'
import { residentKiB } from '../proc.ts'
import { paths } from '../world.ts'

/** How long the memory of a process may settle, before watches are opened and afterwards. */
const SETTLE_MS = 1_000
const WATCH_SETTLE_MS = 3_000

/** Growth of the resident memory with idle watches, in a new process. */
export const watches: Measurement = (round, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { settings } = round
    const { peer } = subject
    await inFreshProcess(round, peer, async (process) => {
      const fresh = { peer, process }
      await saturate(protocol, target(round, fresh, paths.pod), 1)
      await sleep(SETTLE_MS)
      const before = residentKiB(process.pid)
      const watch = target(round, fresh, paths.watch)
      const close = await openWatches(protocol, watch, settings.watches)
      try {
        await sleep(WATCH_SETTLE_MS)
        const grown = residentKiB(process.pid) - before
        round.add(peer.name, `watch/${protocol}`, grown / settings.watches)
      } finally {
        await close()
      }
    })
  })
