/**
 * Builds what is published: one JavaScript file that includes the libraries, so that every
 * installation runs the tested versions and starts much faster than from many files. A small file,
 * which any Node can parse, checks the Node version and then loads it.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { chmod, readdir, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'

import { defineConfig, type Plugin } from 'rolldown'

export default defineConfig([
  {
    input: 'src/main.ts',
    platform: 'node',
    output: { dir: 'dist', entryFileNames: 'gatehouse.js', format: 'esm', codeSplitting: false },
    plugins: [withoutFacade('node:http'), thirdPartyNotices(), compileCache()],
  },
  {
    input: 'src/start.ts',
    platform: 'node',
    output: { dir: 'dist', entryFileNames: 'main.js', format: 'esm' },
    plugins: [otherFile('./main.ts', './gatehouse.js')],
  },
])

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
 * Stores Node's compile cache of the bundle in the package, so that the first start does not need to
 * compile it, which would take a fifth of its time. Other versions of Node ignore the cache.
 */
function compileCache(): Plugin {
  return {
    name: 'compile-cache',
    async writeBundle({ dir = '' }) {
      const directory = join(dir, 'compile-cache')
      await rm(directory, { recursive: true, force: true })
      const env = { NODE_COMPILE_CACHE: directory, NODE_COMPILE_CACHE_PORTABLE: '1' }
      await promisify(execFile)(process.execPath, [join(dir, 'gatehouse.js'), '--help'], { env })
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
function thirdPartyNotices(): Plugin {
  return {
    name: 'third-party-notices',
    generateBundle(_options, bundle) {
      const modules = Object.values(bundle).flatMap((chunk) =>
        chunk.type === 'chunk' ? chunk.moduleIds : [],
      )
      const packages = new Set(modules.flatMap((id) => packageFolder(id) ?? []))
      const notices = [...packages].toSorted().map(notice)
      this.emitFile({
        type: 'asset',
        fileName: 'THIRD-PARTY-NOTICES.txt',
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
