import { buildModulePart } from './go-build.ts'
import { OLDEST_GO, versions } from './versions.ts'

/** Builds helm, a client of the API server besides kubectl, into the cache and returns its path. */
export function buildHelm(): Promise<string> {
  return buildModulePart({
    name: 'helm',
    version: versions.helm,
    package: 'helm.sh/helm/v3/cmd/helm',
    goMod: async () =>
      [
        'module gatehouse/parts/helm',
        `go ${OLDEST_GO}`,
        `require helm.sh/helm/v3 ${versions.helm}`,
        '',
      ].join('\n'),
  })
}
