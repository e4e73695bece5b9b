import { execFile, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { binaryPath, buildOnce, sourceDirectory } from './cache.ts'
import { oldestGo } from './versions.ts'

const run = promisify(execFile)

/** A part that is built from published Go modules, which a module of ours only names. */
export interface ModulePart {
  /** Name of the binary. */
  name: string
  /** Version in the name of the binary and of the module's folder. */
  version: string
  /** Folder that holds the module; parts of one module share it. Default: name. */
  module?: string
  /** Go package to build. */
  package: string
  /** The go.mod, as text. */
  goMod: () => Promise<string>
  /** Linker flags beside `-s -w`. */
  ldflags?: string
}

let go: Promise<boolean> | undefined

/**
 * Whether a Go is on the PATH that can build the parts: {@link oldestGo}, or one new enough to
 * fetch that toolchain by itself (1.21, unless GOTOOLCHAIN forbids it). Asked once a process.
 */
export function goIsSufficient(): Promise<boolean> {
  go ??= run('go', ['env', '-json', 'GOVERSION', 'GOTOOLCHAIN']).then(
    ({ stdout }) => {
      const { GOVERSION, GOTOOLCHAIN } = JSON.parse(stdout) as Record<string, string>
      const version = GOVERSION?.replace(/^go/, '') ?? '0'
      return (
        isAtLeast(version, oldestGo) ||
        (isAtLeast(version, '1.21.0') && GOTOOLCHAIN?.includes('auto') === true)
      )
    },
    () => false,
  )
  return go
}

/** Compares dotted versions by number; what follows the numbers (`-rc.1`) does not count. */
export function isAtLeast(version: string, least: string): boolean {
  const [have, want] = [version, least].map((text) => text.split('.').map((n) => parseInt(n, 10)))
  for (const [i, wanted] of want?.entries() ?? []) {
    const had = have?.[i] ?? 0
    if (had !== wanted) return had > wanted
  }
  return true
}

/** Builds a part into the cache if it is not there, and returns the binary's path. */
export function buildModulePart(part: ModulePart): Promise<string> {
  const module = part.module ?? part.name
  const build = async (output: string) => {
    const directory = await sourceDirectory(module, part.version)
    // Made anew each time: an older run may have been interrupted while it was written.
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
  // Parts of one module share its go.mod, which Go writes to, too.
  return buildOnce(binaryPath(part.name, part.version), build, `${module}-${part.version}.go.mod`)
}

/** What one run of `go build` needs. */
export interface GoBuild {
  /** What progress lines call it. */
  label: string
  /** Folder of the module. */
  directory: string
  package: string
  output: string
  flags?: string[]
  ldflags?: string
}

/**
 * Runs `go build` at low priority and says on stderr what it is at, every 15 s. Throws with the
 * last lines of Go's own output when it fails.
 */
export async function goBuild(build: GoBuild): Promise<void> {
  const started = Date.now()
  say(`building ${build.label} (once; it is kept in the cache)`)
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
      // GOFLAGS and GOWORK of the user must not change what is built. Without cgo no C compiler is needed.
      env: { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-buildvcs=false' },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  if (child.pid !== undefined) setPriority(child.pid, 5)
  const lines: string[] = []
  createInterface(child.stderr).on('line', (line) => lines.push(line))
  const progress = setInterval(() => {
    const seconds = Math.round((Date.now() - started) / 1000)
    say(`${build.label}: ${seconds} s, ${lines.length} steps, now ${lines.at(-1) ?? 'starting'}`)
  }, 15_000)
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject).once('close', resolve)
    })
    if (code !== 0) {
      throw new Error(
        `go build of ${build.label} ended with code ${code ?? 'none'}:\n${lines.slice(-20).join('\n')}`,
      )
    }
  } finally {
    clearInterval(progress)
  }
  say(`built ${build.label} in ${Math.round((Date.now() - started) / 1000)} s`)
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

function say(line: string): void {
  process.stderr.write(`[${basename(import.meta.dirname)}] ${line}\n`)
}
