import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { buildModulePart, goOutput } from './go-build.ts'
import { OLDEST_GO, versions } from './versions.ts'

/** The programs of k8s.io/kubernetes that are built here. */
export type KubernetesProgram = 'kube-apiserver' | 'kube-controller-manager' | 'kubectl'

/**
 * Builds a version of a Kubernetes program into the cache and returns its path. With empty caches,
 * the API server takes minutes, and gigabytes of Go's own caches.
 */
export function buildKubernetes(
  name: KubernetesProgram,
  version: string = versions.kubernetes,
): Promise<string> {
  const [major, minor] = version.replace(/^v/, '').split('.')
  const variable = 'k8s.io/component-base/version'
  return buildModulePart({
    name,
    version,
    module: 'kubernetes',
    package: `k8s.io/kubernetes/cmd/${name}`,
    goMod: () => kubernetesGoMod(version),
    // Without these, the API server reports v0.0.0-master, which kubectl cannot compare.
    ldflags: [
      `-X ${variable}.gitVersion=${version}`,
      `-X ${variable}.gitMajor=${major ?? ''}`,
      `-X ${variable}.gitMinor=${minor ?? ''}`,
    ].join(' '),
  })
}

/**
 * The go.mod of a module that requires k8s.io/kubernetes. The go.mod there replaces the staging
 * modules with folders of the repository, which a dependent module does not inherit: here they are
 * replaced with the published modules (v1.X.Y is published as v0.X.Y).
 */
async function kubernetesGoMod(version: string): Promise<string> {
  const download = await goOutput(
    ['mod', 'download', '-json', `k8s.io/kubernetes@${version}`],
    tmpdir(),
  )
  const { GoMod } = JSON.parse(download) as { GoMod: string }
  const theirs = await readFile(GoMod, 'utf8')
  const staging = [...theirs.matchAll(/^\s*(\S+) => \.\/staging\//gm)].map((match) => match[1])
  const goVersion = /^go (\S+)$/m.exec(theirs)?.[1] ?? OLDEST_GO
  const published = version.replace(/^v1\./, 'v0.')
  return [
    'module gatehouse/parts/kubernetes',
    `go ${goVersion}`,
    `require k8s.io/kubernetes ${version}`,
    'replace (',
    ...staging.map((name) => `\t${name} => ${name} ${published}`),
    ')',
    '',
  ].join('\n')
}
