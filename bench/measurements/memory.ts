import { saturate } from '../load.ts'
import { inFreshProcess, target, type Measurement } from '../measurement.ts'
import { residentKiB } from '../proc.ts'
import { medianOf } from '../results.ts'
import { paths } from '../world.ts'

/** Seconds of load between two readings of the memory. */
const LOAD_SECONDS = 5
/** A shorter load does not show whether memory keeps growing. */
const MIN_MINUTES_FOR_GROWTH = 10

/**
 * Resident memory of a new process after the request load, over all protocols in turn. After a long
 * load also its growth: the median of the last quarter divided by that of the quarter before.
 */
export const memory: Measurement = async (round, { peer }) => {
  const { memoryMinutes } = round.settings
  await inFreshProcess(round, peer, async (process) => {
    const at = target(round, { peer, process }, paths.pod)
    const seconds = (memoryMinutes * 60) / peer.protocols.length
    const readings: number[] = []
    for (let load = 0; load < Math.ceil(seconds / LOAD_SECONDS); load += 1) {
      for (const protocol of peer.protocols) await saturate(protocol, at, LOAD_SECONDS)
      readings.push(residentKiB(process.pid) / 1024)
    }
    const quarter = Math.ceil(readings.length / 4)
    const end = medianOf(readings.slice(-quarter)) ?? NaN
    round.add(peer.name, 'rss', end)
    if (memoryMinutes < MIN_MINUTES_FOR_GROWTH) return
    const before = medianOf(readings.slice(-2 * quarter, -quarter)) ?? NaN
    round.add(peer.name, 'rss-growth', end / before)
  })
}
