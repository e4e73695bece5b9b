import { join } from 'node:path'
import { binaryPath, isExecutable } from './cache.ts'
import { buildEtcd } from './etcd.ts'
import { goIsSufficient } from './go-build.ts'
import { goProgram, goProgramPath } from './go-program.ts'
import { buildH2spec } from './h2spec.ts'
import { findOrBuildKubectl } from './kubectl.ts'
import { buildKubernetes } from './kubernetes.ts'
import { oldestGo, versions } from './versions.ts'

/** The real parts by the names of their binaries. */
export const partNames = [
  'kube-apiserver',
  'kube-controller-manager',
  'etcd',
  'kubelet',
  'kubectl',
  'h2spec',
] as const

/** One of {@link partNames}. */
export type PartName = (typeof partNames)[number]

/** What a control plane with a node is made of, and the client that drives it. */
export const controlPlaneParts: readonly PartName[] = partNames.filter((name) => name !== 'h2spec')

interface Source {
  /** Where the built binary is or will be. */
  path: () => Promise<string>
  /** Finds or builds it. */
  get: () => Promise<string | undefined>
}

const sources: Record<PartName, Source> = {
  'kube-apiserver': {
    path: async () => binaryPath('kube-apiserver', versions.kubernetes),
    get: () => buildKubernetes('kube-apiserver'),
  },
  'kube-controller-manager': {
    path: async () => binaryPath('kube-controller-manager', versions.kubernetes),
    get: () => buildKubernetes('kube-controller-manager'),
  },
  kubectl: {
    path: async () => binaryPath('kubectl', versions.kubernetes),
    get: findOrBuildKubectl,
  },
  etcd: { path: async () => binaryPath('etcd', versions.etcd), get: buildEtcd },
  h2spec: { path: async () => binaryPath('h2spec', versions.h2spec), get: buildH2spec },
  kubelet: { path: () => goProgramPath('kubelet'), get: () => goProgram('kubelet') },
}

/**
 * The path of a part's binary: from the folder `KUBEBUILDER_ASSETS`, if it is set and holds it,
 * else from the cache, where it is built first if need be. Throws when it cannot be had.
 */
export async function part(name: PartName): Promise<string> {
  const path = (await fromAssets(name)) ?? (await sources[name].get())
  if (path === undefined) throw new Error(`${name} is not here: ${howToGetParts}`)
  return path
}

/** Whether parts can be had, and if not the one line to print. */
export type Availability = { available: true } | { available: false; reason: string }

/** Tells, without building anything, whether {@link part} will answer for all of `names`. */
export async function partsAvailable(
  names: readonly PartName[] = controlPlaneParts,
): Promise<Availability> {
  if (await goIsSufficient()) return { available: true }
  const missing: PartName[] = []
  for (const name of names) if (!(await isThere(name))) missing.push(name)
  if (missing.length === 0) return { available: true }
  return {
    available: false,
    reason: `SKIPPED, not tested: ${missing.join(', ')} neither here nor buildable. ${howToGetParts}`,
  }
}

const howToGetParts = `Install Go ${oldestGo} or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder with the binaries.`

async function isThere(name: PartName): Promise<boolean> {
  if ((await fromAssets(name)) !== undefined) return true
  if (await isExecutable(await sources[name].path())) return true
  return name === 'kubectl' && (await sources.kubectl.get()) !== undefined
}

async function fromAssets(name: PartName): Promise<string | undefined> {
  const assets = process.env['KUBEBUILDER_ASSETS']
  if (assets === undefined || assets === '') return undefined
  const path = join(assets, name)
  return (await isExecutable(path)) ? path : undefined
}
