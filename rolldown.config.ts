/**
 * Builds what is published: a few JavaScript files that include the libraries, so that every installation
 * runs the tested versions and starts much faster than from many files. Each is loaded only when it is
 * needed: `main.js`, which any Node can parse, checks the Node version; `get-token.js` is the credential
 * plugin; `cli.js` knows the commands, `client.js` is what those for users do, `gatehouse.cjs` is the
 * server, and `gatehouse.js` loads it with its code cache.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, readdir, rm } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'

import { defineConfig, type OutputOptions, type Plugin, type RolldownOptions } from 'rolldown'

import { SERVER_SCRIPT } from './src/cli/server-script.ts'

const run = promisify(execFile)

/** Loaded where there is one: a keyring needs native code, which is a package for each platform. */
const external = ['@napi-rs/keyring']

const CLIENT = ['./commands.ts', './client.js'] as const
const SERVER = ['./cli/server-commands.ts', './gatehouse.js'] as const

export default defineConfig([
  file('src/cli/server-commands.ts', SERVER_SCRIPT, [plainScript()], 'cjs'),
  file('src/cli/packaged-commands.ts', 'gatehouse.js', []),
  file('src/client/commands.ts', 'client.js', []),
  file('src/client/get-token.ts', 'get-token.js', [otherFile(...CLIENT)]),
  file('src/main.ts', 'cli.js', [otherFile(...SERVER), otherFile(...CLIENT)]),
  file('src/start.ts', 'main.js', [
    otherFile('./main.ts', './cli.js'),
    otherFile('./client/get-token.ts', './get-token.js'),
    otherFile(...SERVER),
    codeCaches(),
  ]),
])

/** One published file. */
function file(
  input: string,
  name: string,
  plugins: readonly Plugin[],
  format: OutputOptions['format'] = 'esm',
): RolldownOptions {
  return {
    input,
    platform: 'node',
    external,
    // Comments would be a tenth of the server, which stays in memory. Licenses are in the notices.
    output: { dir: 'dist', entryFileNames: name, format, codeSplitting: false, comments: false },
    plugins: [...plugins, thirdPartyNotices(name.replace(/\.c?js$/, ''))],
  }
}

/**
 * Makes a function of strict mode with `exports` and `require` of what a module in CommonJS would be, for
 * `new Script`. All characters are ASCII: with any other one, V8 would keep two bytes for each.
 */
function plainScript(): Plugin {
  return {
    name: 'plain-script',
    generateBundle(_options, bundle) {
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== 'chunk') continue
        chunk.code = `(function (exports, require) { 'use strict';\n${escaped(chunk.code)}\n})`
      }
    },
  }
}

/** In strings, templates, regular expressions and names, the escape means the character. */
function escaped(code: string): string {
  if (/String\.raw`[^`]*[^\0-\x7f]/.test(code))
    throw new Error('String.raw with a non-ASCII character')
  return code.replace(
    /[^\0-\x7f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/**
 * Stores in the package what V8 compiles of it, so that a start does not need to do that: of the server in
 * a file of its own, and of the rest in Node's compile cache, which other versions of Node ignore.
 */
function codeCaches(): Plugin {
  return {
    name: 'code-caches',
    async writeBundle({ dir = '' }) {
      await run(process.execPath, [join(import.meta.dirname, 'build/code-cache.ts'), resolve(dir)])
      await compileCache(dir)
    },
  }
}

async function compileCache(dir: string): Promise<void> {
  const directory = join(dir, 'compile-cache')
  await rm(directory, { recursive: true, force: true })
  const env = { NODE_COMPILE_CACHE: directory, NODE_COMPILE_CACHE_PORTABLE: '1' }
  // Importing them starts nothing, except for cli.js.
  for (const name of ['gatehouse.js', 'client.js', 'get-token.js']) {
    const url = pathToFileURL(join(dir, name)).href
    await run(process.execPath, ['--eval', `await import('${url}')`], { env })
  }
  await run(process.execPath, [join(dir, 'cli.js'), '--help'], { env })
  // Node creates these files for their owner only; other users must be able to read them.
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
  }
  await chmod(directory, 0o755)
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
