import { saturate } from '../load.ts'
import {
  eachProtocol,
  inFreshProcess,
  target,
  type Measurement,
  type Round,
  type Subject,
} from '../measurement.ts'
import { cpuSeconds } from '../proc.ts'
import type { Protocol } from '../peers/peer.ts'
import { paths } from '../world.ts'
import { warmUp } from '../warm-up.ts'

/** How often the protocols take turns. */
const TURNS = 2

/** What a load used. */
interface Used {
  requests: number
  /** In seconds. */
  cpu: number
  /** In bytes; NaN if they are not counted. */
  allocated: number
}

/**
 * CPU, rate and allocated bytes under the load of 32 concurrent clients. Each round starts a new process: two
 * processes of one build differ by a tenth, for as long as they run, and other loads would change what V8 compiles.
 */
export const cpu: Measurement = (round, { peer }) =>
  inFreshProcess(
    round,
    peer,
    async (process) => {
      const subject = { peer, process }
      await warmUp(round, subject)
      const used = new Map<Protocol, Used>()
      for (let turn = 0; turn < TURNS; turn += 1) {
        await eachProtocol(subject, async (protocol) => {
          const sum = used.get(protocol) ?? { requests: 0, cpu: 0, allocated: 0 }
          const more = await load(round, subject, protocol)
          used.set(protocol, {
            requests: sum.requests + more.requests,
            cpu: sum.cpu + more.cpu,
            allocated: sum.allocated + more.allocated,
          })
        })
      }
      for (const [protocol, sum] of used) report(round, subject, protocol, sum)
    },
    { countsAllocations: true },
  )

async function load(round: Round, subject: Subject, protocol: Protocol): Promise<Used> {
  const { process } = subject
  const allocatedBefore = (await process.allocatedBytes?.()) ?? NaN
  const began = cpuSeconds(process.pid)
  const { duration } = round.settings
  const requests = await saturate(protocol, target(round, subject, paths.pod), duration)
  const used = cpuSeconds(process.pid) - began
  const allocated = ((await process.allocatedBytes?.()) ?? NaN) - allocatedBefore
  return { requests, cpu: used, allocated }
}

function report(
  { add, settings }: Round,
  { peer: { name } }: Subject,
  protocol: Protocol,
  { requests, cpu: used, allocated }: Used,
): void {
  add(name, `cpu/${protocol}`, (used / requests) * 1e6)
  add(name, `rate/${protocol}`, requests / settings.duration / TURNS)
  if (!Number.isNaN(allocated)) add(name, `allocated/${protocol}`, allocated / requests / 1e3)
}
