import { transfer } from '../load.ts'
import { eachProtocol, target, type Measurement } from '../measurement.ts'
import { cpuSeconds } from '../proc.ts'
import { paths } from '../world.ts'

/** How the upstream writes the 5 MB: with a Content-Length, or in chunks of a size. */
const shapes = [
  ['bulk', paths.list],
  ['bulk-2k', paths.listInPiecesOf2KB],
  ['bulk-32k', paths.listInPiecesOf32KB],
] as const
/** Lists that come first and are not measured, relative to those that are: other loads warm up other code. */
const WARM_UP_PART = 1 / 4

/** CPU per GB (1e9 bytes) of uncompressed 5 MB lists. */
export const bulk: Measurement = (round, subject) =>
  eachProtocol(subject, async (protocol) => {
    const { lists } = round.settings
    for (const [metric, path] of shapes) {
      const at = target(round, subject, path)
      await transfer(protocol, at, Math.ceil(lists * WARM_UP_PART))
      const began = cpuSeconds(subject.process.pid)
      const bytes = await transfer(protocol, at, lists)
      const used = cpuSeconds(subject.process.pid) - began
      round.add(subject.peer.name, `${metric}/${protocol}`, (used / bytes) * 1e9)
    }
  })
