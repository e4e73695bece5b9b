import { saturate } from '../load.ts'
import { eachProtocol, target, type Measurement } from '../measurement.ts'
import { cpuSeconds } from '../proc.ts'
import { paths } from '../world.ts'

/** CPU, rate and allocated bytes under the load of 32 concurrent clients. */
export const cpu: Measurement = (round, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { add, settings } = round
    const { peer, process } = subject
    const allocatedBefore = await process.allocatedBytes?.()
    const began = cpuSeconds(process.pid)
    const requests = await saturate(protocol, target(round, subject, paths.pod), settings.duration)
    const used = cpuSeconds(process.pid) - began
    const allocated = await process.allocatedBytes?.()
    add(peer.name, `cpu/${protocol}`, (used / requests) * 1e6)
    add(peer.name, `rate/${protocol}`, requests / settings.duration)
    if (allocated !== undefined && allocatedBefore !== undefined) {
      add(peer.name, `allocated/${protocol}`, (allocated - allocatedBefore) / requests / 1e3)
    }
  })
