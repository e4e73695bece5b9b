import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseAllDocuments } from 'yaml'

import { succeed, type Kubectl } from './kubectl.ts'

/** The folder that an administrator applies. */
export const manifestsFolder = resolve(import.meta.dirname, '../../deploy/kubernetes')

/** The fields of a Kubernetes object that the tests read. */
export interface Manifest {
  kind: string
  metadata: { name: string; namespace?: string }
  data?: Record<string, string>
  rules?: { resources: string[]; resourceNames?: string[] }[]
  spec?: { template?: { metadata: object; spec: PodSpec } }
}

/** The fields of a pod that the tests read. */
export interface PodSpec {
  terminationGracePeriodSeconds: number
  containers: {
    args: string[]
    ports: { name: string; containerPort: number }[]
    resources: { limits: { memory: string } }
    securityContext: object
    volumeMounts: { name: string; mountPath: string }[]
  }[]
  volumes: { name: string; projected: { sources: ProjectedSource[] } }[]
}

interface ProjectedSource {
  configMap?: { name: string; items?: Item[] }
  secret?: { name: string; items?: Item[] }
}

interface Item {
  key: string
  path: string
}

/** All objects of deploy/kubernetes, in the order in which kubectl applies them. */
export async function readManifests(): Promise<Manifest[]> {
  const files = (await readdir(manifestsFolder)).toSorted()
  const texts = await Promise.all(
    files.map((file) => readFile(join(manifestsFolder, file), 'utf8')),
  )
  return texts
    .flatMap((text) => parseAllDocuments(text))
    .map((document) => document.toJS() as Manifest)
}

/** The manifest with a kind and a name. Throws when there is none. */
export function find(manifests: readonly Manifest[], kind: string, name: string): Manifest {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name)
  if (found === undefined) throw new Error(`there is no ${kind} ${name} in deploy/kubernetes`)
  return found
}

/** The pod template of the Deployment. */
export function podTemplate(manifests: readonly Manifest[]): { metadata: object; spec: PodSpec } {
  const template = find(manifests, 'Deployment', 'gatehouse').spec?.template
  if (template === undefined) throw new Error('the Deployment has no template')
  return template
}

/**
 * Writes the volume `config` of the Deployment as the kubelet would, and returns the path for the
 * option `--config`. `secrets` has contents by Secret and key, since the manifests do not contain them.
 */
export async function writeConfigVolume(
  folder: string,
  manifests: readonly Manifest[],
  secrets: Readonly<Record<string, Record<string, string>>>,
): Promise<string> {
  const { spec } = podTemplate(manifests)
  const [container] = spec.containers
  const volume = spec.volumes.find(({ name }) => name === 'config')
  const mount = container?.volumeMounts.find(({ name }) => name === 'config')
  const file = container?.args.at(-1)
  if (volume === undefined || mount === undefined || file === undefined) {
    throw new Error('the Deployment has no volume `config` or no --config')
  }
  await mkdir(folder, { recursive: true })
  for (const { configMap, secret } of volume.projected.sources) {
    if (configMap !== undefined) {
      const { data = {} } = find(manifests, 'ConfigMap', configMap.name)
      await project(folder, data, configMap.items)
    }
    if (secret !== undefined) await project(folder, secrets[secret.name] ?? {}, secret.items)
  }
  return join(folder, file.slice(mount.mountPath.length))
}

async function project(
  folder: string,
  data: Readonly<Record<string, string>>,
  items: Item[] = Object.keys(data).map((key) => ({ key, path: key })),
): Promise<void> {
  for (const { key, path } of items) {
    const content = data[key]
    if (content === undefined) throw new Error(`there is no key ${key} for ${path}`)
    await writeFile(join(folder, path), content)
  }
}

/** Applies what Gatehouse's service account needs: its namespace and its rights. */
export async function applyManifests(admin: Kubectl): Promise<void> {
  for (const file of ['00-namespace.yaml', '10-rbac.yaml']) {
    await succeed(admin, ['apply', '-f', join(manifestsFolder, file)])
  }
}
