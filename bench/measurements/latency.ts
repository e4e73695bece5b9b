import { pace, type Target } from '../load.ts'
import { target, type Measurement, type Round } from '../measurement.ts'
import { paths } from '../world.ts'

/** Latency over HTTP/1.1, at half of the load that the peers can take. */
export const latency: Measurement = (round, subject) =>
  measure(round, subject.peer.name, target(round, subject, paths.pod))

/** The same without a proxy: the latency of the upstream and of the load generator. */
export function directLatency(round: Round): Promise<void> {
  const { world } = round
  return measure(round, 'direct', {
    url: world.upstream.url + paths.pod,
    caFile: world.ca.certFile,
    token: world.issuer.token,
    certificate: world.client,
  })
}

async function measure({ settings, add }: Round, name: string, at: Target): Promise<void> {
  const { p50, p99 } = await pace('h1', at, settings.rate, settings.duration)
  add(name, 'p50', p50)
  add(name, 'p99', p99)
}
