import { saturate } from './load.ts'
import { target, type Settings, type Subject } from './measurement.ts'
import { findTool } from './tools.ts'
import { paths, type World } from './world.ts'

/** How long one load takes, and how many there are at most: enough for a slow machine. */
const LOAD_SECONDS = 3
const MAX_LOADS = 60

export interface WarmUpOptions {
  readonly world: World
  readonly settings: Pick<Settings, 'warmUp'>
}

/** Sends requests to a peer, so that the code that is measured later has been compiled. */
export async function warmUp({ world, settings }: WarmUpOptions, subject: Subject): Promise<void> {
  const { peer } = subject
  const at = target({ world }, subject, paths.pod)
  const wanted = peer.isCompiledAtRuntime ? settings.warmUp : 1
  for (const protocol of peer.protocols) {
    if ((await findTool(protocol === 'h1' ? 'wrk' : 'h2load')) === undefined) continue
    let requests = 0
    for (let load = 0; requests < wanted && load < MAX_LOADS; load += 1) {
      requests += await saturate(protocol, at, LOAD_SECONDS)
    }
  }
}
