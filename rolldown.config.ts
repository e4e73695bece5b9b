/**
 * Builds what is published: a few JavaScript files that include the libraries, so that every installation
 * runs the tested versions and starts much faster than from many files. Each is loaded only when it is
 * needed: `main.js`, which any Node can parse, checks the Node version; `get-token.js` is the credential
 * plugin; `cli.js` knows the commands, `client.js` is what those for users do, and `gatehouse.js` is the
 * server.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, readdir, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

import { defineConfig, type Plugin, type RolldownOptions } from 'rolldown'

/** Loaded where there is one: a keyring needs native code, which is a package for each platform. */
const external = ['@napi-rs/keyring']

const CLIENT = ['./commands.ts', './client.js'] as const

export default defineConfig([
  file('src/cli/server-commands.ts', 'gatehouse.js', [withoutFacade('node:http')]),
  file('src/client/commands.ts', 'client.js', []),
  file('src/client/get-token.ts', 'get-token.js', [otherFile(...CLIENT)]),
  file('src/main.ts', 'cli.js', [
    otherFile('./cli/server-commands.ts', './gatehouse.js'),
    otherFile(...CLIENT),
  ]),
  file('src/start.ts', 'main.js', [
    otherFile('./main.ts', './cli.js'),
    otherFile('./client/get-token.ts', './get-token.js'),
    compileCache(),
  ]),
])

/** One published file. */
function file(input: string, name: string, plugins: readonly Plugin[]): RolldownOptions {
  return {
    input,
    platform: 'node',
    external,
    output: { dir: 'dist', entryFileNames: name, format: 'esm', codeSplitting: false },
    plugins: [...plugins, thirdPartyNotices(name.replace('.js', ''))],
  }
}

/**
 * Imports a builtin module without creating its namespace object. For that object, Node reads every
 * member of node:http, including WebSocket, for which it loads all of its own undici: 50 ms.
 */
function withoutFacade(builtin: string): Plugin {
  const facade = `\0${builtin}`
  return {
    name: 'without-facade',
    // `require` does not create a namespace object, and needs the getters as well.
    resolveId: (id, _importer, { kind }) =>
      id === builtin && kind === 'import-statement' ? facade : undefined,
    load(id) {
      if (id !== facade) return undefined
      const all = Object.getOwnPropertyDescriptors(process.getBuiltinModule(builtin) ?? {})
      const names = Object.keys(all).filter((name) => all[name]?.get === undefined)
      return `const builtin = process.getBuiltinModule('${builtin}')
export default builtin
export const { ${names.join(', ')} } = builtin`
    },
  }
}

/**
 * Stores Node's compile cache of all files in the package, so that the first start does not need to
 * compile them, which would take a fifth of its time. Other versions of Node ignore the cache.
 */
function compileCache(): Plugin {
  return {
    name: 'compile-cache',
    async writeBundle({ dir = '' }) {
      const directory = join(dir, 'compile-cache')
      await rm(directory, { recursive: true, force: true })
      const env = { NODE_COMPILE_CACHE: directory, NODE_COMPILE_CACHE_PORTABLE: '1' }
      // Importing them starts nothing, except for cli.js.
      for (const name of ['gatehouse.js', 'client.js', 'get-token.js']) {
        const url = pathToFileURL(join(dir, name)).href
        await promisify(execFile)(process.execPath, ['--eval', `await import('${url}')`], { env })
      }
      await promisify(execFile)(process.execPath, [join(dir, 'cli.js'), '--help'], { env })
      // Node creates these files for their owner only; other users must be able to read them.
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
      }
      await chmod(directory, 0o755)
    },
  }
}

/** Keeps an import as an import, of another file of the package. */
function otherFile(source: string, published: string): Plugin {
  return {
    name: 'other-file',
    resolveId: (id) => (id === source ? { id: published, external: 'relative' } : undefined),
  }
}

/** Collects the licenses of the bundled libraries, most of which require their inclusion. */
function thirdPartyNotices(name: string): Plugin {
  return {
    name: 'third-party-notices',
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((chunk) =>
        chunk.type === 'chunk' ? chunk.moduleIds : [],
      )
      const packages = new Set(modules.flatMap((id) => packageFolder(id) ?? []))
      if (packages.size === 0) return
      const notices = [...packages].toSorted().map(notice)
      this.emitFile({
        type: 'asset',
        fileName: `THIRD-PARTY-NOTICES-${name}.txt`,
        source: notices.join(`\n${'-'.repeat(80)}\n\n`),
      })
    },
  }
}

function packageFolder(module: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(module)?.[0]
}

function notice(folder: string): string {
  const { name, version, license } = JSON.parse(
    readFileSync(join(folder, 'package.json'), 'utf8'),
  ) as { name: string; version: string; license?: string }
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined && license === undefined) {
    throw new Error(`${relative('.', folder)} does not declare a license`)
  }
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
  return `${name} ${version} (${license ?? 'see below'})\n\n${text}`
}
