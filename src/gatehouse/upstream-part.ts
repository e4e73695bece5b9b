/** Gatehouse's own credential for the API server: where it comes from, and the part that loads it. */
import type { UpstreamCredential } from '../cluster/credential.ts'
import { loadUpstreamCredential, type UpstreamSource } from '../cluster/load.ts'
import type { FileDigests } from '../config/digests.ts'
import type { InClusterEnvironment } from '../config/environment.ts'
import type { ConfigurationReading } from '../config/load.ts'
import { valueAt } from '../config/path.ts'
import type { Configuration } from '../config/schema.ts'
import { reportUpstream } from './certificate-report.ts'
import type { Part } from './reloadable.ts'

/**
 * The part of the credential.
 *
 * @param digests gets the files that a kubeconfig names
 */
export function credentialPart(
  source: UpstreamSource,
  digests: FileDigests,
): Part<UpstreamCredential> {
  return {
    what: 'upstream credential',
    files: ({ files }) => files,
    load: () => loadCredential(source, digests),
    report: reportUpstream,
  }
}

/** Loads a second time when the kubeconfig names files whose content was not recorded before. */
function loadCredential(source: UpstreamSource, digests: FileDigests): UpstreamCredential {
  const credential = loadUpstreamCredential(source)
  return digests.add(credential.files) ? loadUpstreamCredential(source) : credential
}

/** As `upstreamSource`, of a configuration that may have problems elsewhere. */
export function upstreamSourceOf(
  { configuration, raw, fileAt }: ConfigurationReading,
  inCluster: InClusterEnvironment,
): UpstreamSource | undefined {
  if (configuration !== undefined) return upstreamSource(configuration, inCluster)
  const kubeconfig = fileAt(['upstream', 'kubeconfig'])
  if (kubeconfig === undefined) return undefined
  const context = valueAt(raw, ['upstream', 'context'])
  return { kubeconfig, context: typeof context === 'string' ? context : undefined }
}

/** Where Gatehouse's own credential comes from. */
function upstreamSource(
  { upstream }: Configuration,
  inCluster: InClusterEnvironment,
): UpstreamSource {
  return upstream.kubeconfig === undefined
    ? { inCluster }
    : { kubeconfig: upstream.kubeconfig, context: upstream.context }
}
