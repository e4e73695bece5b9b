#!/usr/bin/env node
/**
 * The entry point of the package. It checks the version of Node.js first, since an older one would fail
 * on the rest with a syntax error. So this file uses plain syntax, and imports nothing before the check.
 * The credential plugin, which runs before every kubectl command, goes on from here without the rest; so
 * does `serve`, with nothing but its configuration.
 */
const USERS = [22, 19] as const
const SERVER = [26, 0] as const

const args = process.argv.slice(2)
const [command = ''] = args
const isServer = command === 'serve' || command === 'validate'
const oldest = isServer ? SERVER : USERS

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
  const what = isServer ? `gatehouse ${command}` : 'gatehouse'
  const version = oldest[1] === 0 ? oldest[0] : oldest.join('.')
  process.stderr.write(`${what} requires Node.js ${version} or newer; this is ${process.version}\n`)
  process.exit(2)
}

const config = configOfServe(args)
// Help and mistakes are the command line's.
if (command === 'get-token' && !args.includes('--help') && !args.includes('-h')) {
  // At the top level, the import would delay the exit of the process.
  void getToken()
} else if (config !== undefined) {
  void serve(config)
} else {
  useCompileCache()
  void import('./main.ts')
}

async function getToken(): Promise<void> {
  const plugin = await import('./client/get-token.ts')
  process.exitCode = await plugin.runPlugin(process)
}

/** The file of `serve --config FILE` or `serve --config=FILE`; undefined for everything else. */
function configOfServe([name, option = '', ...rest]: readonly string[]): string | undefined {
  if (name !== 'serve') return undefined
  const values = option === '--config' ? rest : [/^--config=(.*)$/s.exec(option)?.[1], ...rest]
  const [file = '', ...more] = values
  return more.length === 0 && /^[^-]/.test(file) ? file : undefined
}

async function serve(file: string): Promise<void> {
  const { limitHeapGrowth, runServe } = await import('./cli/server-commands.ts')
  process.exit(await runServe(file, process, limitHeapGrowth))
}

/**
 * The compile cache made by the build. Only the same version of Node.js can use it, on a processor of the
 * same kind and with the same options for V8. For others the cache stays off: Node.js would write to it,
 * and nothing is written where code is read.
 */
function useCompileCache(): void {
  const { enableCompileCache } = process.getBuiltinModule('node:module')
  const { existsSync } = process.getBuiltinModule('node:fs')
  const { fileURLToPath } = process.getBuiltinModule('node:url')
  const { cachedDataVersionTag } = process.getBuiltinModule('node:v8')
  const directory = fileURLToPath(new URL('./compile-cache/', import.meta.url))
  const tag = cachedDataVersionTag().toString(16).padStart(8, '0')
  // The name that Node.js gives the directory for its own version.
  if (existsSync(`${directory}${process.version}-${process.arch}-${tag}`)) {
    enableCompileCache({ directory, portable: true })
  }
}
