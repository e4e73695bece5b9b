import { join } from 'node:path'
import { binaryPath, isExecutable } from './cache.ts'
import { buildDex } from './dex.ts'
import { buildEtcd } from './etcd.ts'
import { goIsSufficient } from './go-build.ts'
import { goProgram, goProgramPath } from './go-program.ts'
import { buildH2spec } from './h2spec.ts'
import { buildHelm } from './helm.ts'
import { findOrBuildKubectl } from './kubectl.ts'
import { buildKubernetes } from './kubernetes.ts'
import { OLDEST_GO, versions } from './versions.ts'

/** The real parts, by the names of their binaries. */
export const partNames = [
  'kube-apiserver',
  'kube-controller-manager',
  'etcd',
  'kubelet',
  'kubectl',
  'h2spec',
  'helm',
  'dex',
] as const

/** One of {@link partNames}. */
export type PartName = (typeof partNames)[number]

/** The parts of a control plane with a node, and kubectl. */
export const controlPlaneParts: readonly PartName[] = [
  'kube-apiserver',
  'kube-controller-manager',
  'etcd',
  'kubelet',
  'kubectl',
]

interface Source {
  /** The path of the built binary, whether it exists or not. */
  path: () => Promise<string>
  /** Finds or builds it; undefined if neither is possible. */
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
  helm: { path: async () => binaryPath('helm', versions.helm), get: buildHelm },
  dex: { path: async () => binaryPath('dex', versions.dex), get: buildDex },
  kubelet: { path: () => goProgramPath('kubelet'), get: () => goProgram('kubelet') },
}

/**
 * The path of a part's binary: from the folder `KUBEBUILDER_ASSETS`, if that is set and contains it,
 * else from the cache, into which it is built first if necessary. Throws when it cannot be obtained.
 */
export async function part(name: PartName): Promise<string> {
  const path = (await fromAssets(name)) ?? (await sources[name].get())
  if (path === undefined) throw new Error(`${name} is missing. ${HOW_TO_GET_PARTS}`)
  return path
}

/** Whether parts can be obtained, and if not, the line to print. */
export type Availability = { available: true } | { available: false; reason: string }

/** Checks, without building anything, whether {@link part} can return all of `names`. */
export async function partsAvailable(
  names: readonly PartName[] = controlPlaneParts,
): Promise<Availability> {
  if (await goIsSufficient()) return { available: true }
  const missing: PartName[] = []
  for (const name of names) if (!(await isPresent(name))) missing.push(name)
  if (missing.length === 0) return { available: true }
  return {
    available: false,
    reason: `SKIPPED, not tested: ${missing.join(', ')} cannot be found or built. ${HOW_TO_GET_PARTS}`,
  }
}

const HOW_TO_GET_PARTS = `Install Go ${OLDEST_GO} or newer (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a directory with the binaries.`

async function isPresent(name: PartName): Promise<boolean> {
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
