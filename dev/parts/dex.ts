import { buildModulePart } from './go-build.ts'
import { OLDEST_GO, versions } from './versions.ts'

/** The commit of the release. Its module path does not end in /v2, so Go has no v2 version of it. */
const COMMIT = 'v0.0.0-20250829100637-2dce75009acf'

/**
 * Builds Dex, an OIDC provider, into the cache and returns its path. Without cgo, it has every
 * storage but SQLite.
 */
export function buildDex(): Promise<string> {
  return buildModulePart({
    name: 'dex',
    version: versions.dex,
    package: 'github.com/dexidp/dex/cmd/dex',
    ldflags: `-X main.version=${versions.dex}`,
    goMod: async () =>
      [
        'module gatehouse/parts/dex',
        `go ${OLDEST_GO}`,
        'require (',
        `\tgithub.com/dexidp/dex ${COMMIT}`,
        // Its go.mod replaces this one with a folder of the repository.
        '\tgithub.com/dexidp/dex/api/v2 v2.4.0',
        ')',
        '',
      ].join('\n'),
  })
}
