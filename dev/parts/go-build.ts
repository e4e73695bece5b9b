import { execFile, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { binaryPath, buildOnce, sourceDirectory } from './cache.ts'
import { report } from './report.ts'
import { OLDEST_GO } from './versions.ts'

const run = promisify(execFile)

const PROGRESS_MS = 15_000

/** A part that is built from published Go modules, through a generated module that requires them. */
export interface ModulePart {
  /** Name of the binary. */
  name: string
  /** The version in the names of the binary and of the module's folder. */
  version: string
  /** The folder of the module; parts of one module share it. Default: name. */
  module?: string
  /** Go package to build. */
  package: string
  /** The text of the go.mod. */
  goMod: () => Promise<string>
  /** Linker flags in addition to `-s -w`. */
  ldflags?: string
}

let sufficient: Promise<boolean> | undefined

/**
 * Whether the PATH has a Go that can build the parts: {@link OLDEST_GO}, or one new enough to
 * download that toolchain (1.21, unless GOTOOLCHAIN forbids it). Checked once per process.
 */
export function goIsSufficient(): Promise<boolean> {
  sufficient ??= run('go', ['env', '-json', 'GOVERSION', 'GOTOOLCHAIN']).then(
    ({ stdout }) => {
      const { GOVERSION, GOTOOLCHAIN } = JSON.parse(stdout) as Record<string, string>
      const version = GOVERSION?.replace(/^go/, '') ?? '0'
      return (
        isAtLeast(version, OLDEST_GO) ||
        (isAtLeast(version, '1.21.0') && GOTOOLCHAIN?.includes('auto') === true)
      )
    },
    () => false,
  )
  return sufficient
}

/** Compares dotted versions by number; a suffix (`-rc.1`) is ignored. */
export function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split('.').map((n) => parseInt(n, 10)))
  for (const [i, wanted] of want?.entries() ?? []) {
    const had = have?.[i] ?? 0
    if (had !== wanted) return had > wanted
  }
  return true
}

/** Builds a part into the cache if it is not there yet, and returns the binary's path. */
export function buildModulePart(part: ModulePart): Promise<string> {
  const module = part.module ?? part.name
  const build = async (output: string) => {
    const directory = await sourceDirectory(module, part.version)
    // Written each time: an earlier run may have been interrupted while writing it.
    await writeFile(join(directory, 'go.mod'), await part.goMod())
    await goBuild({
      label: `${part.name} ${part.version}`,
      directory,
      package: part.package,
      output,
      flags: ['-mod=mod'],
      ldflags: part.ldflags ?? '',
    })
  }
  // Parts of one module share its go.mod, which Go also writes to.
  return buildOnce(binaryPath(part.name, part.version), build, `${module}-${part.version}.go.mod`)
}

/** The input of one run of `go build`. */
export interface GoBuild {
  /** The name in progress messages. */
  label: string
  /** The folder of the module. */
  directory: string
  package: string
  output: string
  flags?: string[]
  ldflags?: string
}

/**
 * Runs `go build` at low priority and reports its progress on stderr every 15 s. Throws with the
 * last lines of Go's own output when the build fails.
 */
export async function goBuild(build: GoBuild): Promise<void> {
  const started = Date.now()
  report(`building ${build.label} (once; the cache keeps it)`)
  const child = spawn(
    'go',
    [
      'build',
      '-v',
      '-trimpath',
      ...(build.flags ?? []),
      `-ldflags=${`-s -w ${build.ldflags ?? ''}`.trim()}`,
      '-o',
      build.output,
      build.package,
    ],
    {
      cwd: build.directory,
      // The user's GOFLAGS and GOWORK must not change the result. Without cgo, no C compiler is needed.
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  if (child.pid !== undefined) setPriority(child.pid, 5)
  const lines: string[] = []
  createInterface(child.stderr).on('line', (line) => lines.push(line))
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000)
    report(
      `${build.label}: ${seconds} s, ${lines.length} packages, last: ${lines.at(-1) ?? 'none'}`,
    )
  }, PROGRESS_MS)
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve)
    })
    if (code !== 0) {
      throw new Error(
        `go build of ${build.label} failed with exit code ${code ?? 'none'}:\n${lines.slice(-20).join('\n')}`,
      )
    }
  } finally {
    clearInterval(progress)
  }
  report(`built ${build.label} in ${Math.round((Date.now() - started) / 1000)} s`)
}

/** Runs a short go command in a folder and returns its stdout. */
export async function goOutput(args: string[], directory: string): Promise<string> {
  const { stdout } = await run('go', args, {
    cwd: directory,
    env: { ...process.env, GOWORK: 'off', GOFLAGS: '-buildvcs=false' },
    maxBuffer: 16 * 1024 * 1024,
  })
  return stdout
}
