import { buildModulePart } from './go-build.ts'
import { OLDEST_GO, versions } from './versions.ts'

/** Builds etcd into the cache and returns its path. */
export function buildEtcd(): Promise<string> {
  return buildModulePart({
    name: 'etcd',
    version: versions.etcd,
    package: 'go.etcd.io/etcd/server/v3',
    goMod: async () =>
      [
        'module gatehouse/parts/etcd',
        `go ${OLDEST_GO}`,
        `require go.etcd.io/etcd/server/v3 ${versions.etcd}`,
        '',
      ].join('\n'),
  })
}
