import { carry } from '../load.ts'
import { target, type Measurement } from '../measurement.ts'
import { cpuSeconds } from '../proc.ts'
import { paths } from '../world.ts'

/**
 * CPU per GB (1e9 bytes) of one upgraded connection, in the frames of `kubectl exec`. `kubectl cp` is an
 * exec, and port-forward is the same to a proxy: frames of at most 32 KiB that it copies.
 */
export const tunnels: Measurement = async (round, subject) => {
  if (!subject.peer.servesUpgrades) return
  for (const protocol of ['websocket', 'spdy'] as const) {
    for (const direction of ['down', 'up'] as const) {
      const began = cpuSeconds(subject.process.pid)
      const bytes = await carry(target(round, subject, paths.exec), {
        protocol,
        direction,
        frames: round.settings.frames,
      })
      const used = cpuSeconds(subject.process.pid) - began
      round.add(subject.peer.name, `${protocol}/${direction}`, (used / bytes) * 1e9)
    }
  }
}
