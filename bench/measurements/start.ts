import { inFreshProcess, type Measurement } from '../measurement.ts'
import { cpuSeconds } from '../proc.ts'

/** Starts per round: one alone depends on what else the machine does in that moment. */
const STARTS = 3

/** Time and CPU from the start of the process to the first Pod that it returns. */
export const start: Measurement = async (round, { peer }) => {
  for (let i = 0; i < STARTS; i += 1) {
    await inFreshProcess(round, peer, async ({ pid, startedAt }) => {
      round.add(peer.name, 'start', performance.now() - startedAt)
      round.add(peer.name, 'start-cpu', cpuSeconds(pid) * 1e3)
    })
  }
}
