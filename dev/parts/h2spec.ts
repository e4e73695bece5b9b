import { buildModulePart } from './go-build.ts'
import { OLDEST_GO, versions } from './versions.ts'

/**
 * Builds h2spec, the HTTP/2 conformance tester, into the cache and returns its path. It is older
 * than Go modules and does not pin its dependencies, so they are pinned here.
 */
export function buildH2spec(): Promise<string> {
  return buildModulePart({
    name: 'h2spec',
    version: versions.h2spec,
    package: 'github.com/summerwind/h2spec/cmd/h2spec',
    goMod: async () =>
      [
        'module gatehouse/parts/h2spec',
        `go ${OLDEST_GO}`,
        'require (',
        `\tgithub.com/summerwind/h2spec ${versions.h2spec}+incompatible`,
        '\tgithub.com/fatih/color v1.19.0',
        '\tgithub.com/spf13/cobra v1.10.2',
        '\tgolang.org/x/net v0.62.0',
        ')',
        '',
      ].join('\n'),
  })
}
