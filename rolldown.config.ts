/**
 * What is published: one JavaScript file with the libraries in it, so that what was tested is what
 * runs wherever it is installed, and starts in a fraction of the time of many files. Before it comes
 * a small one that any Node can read and that looks which Node it is.
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
 * A builtin without the namespace that an import of it makes. To make the one of node:http, node reads
 * every member, WebSocket among them, for which it loads the whole of its own undici: 50 ms.
 */
function withoutFacade(builtin: string): Plugin {
  const facade = `\0${builtin}`
  return {
    name: 'without-facade',
    // A `require` makes none, and wants the getters too.
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
 * Compiles the file as Node does and keeps that beside it, so that a first start need not: a fifth of
 * its time. Another version of Node does without.
 */
function compileCache(): Plugin {
  return {
    name: 'compile-cache',
    async writeBundle({ dir = '' }) {
      const directory = join(dir, 'compile-cache')
      await rm(directory, { recursive: true, force: true })
      const env = { NODE_COMPILE_CACHE: directory, NODE_COMPILE_CACHE_PORTABLE: '1' }
      await promisify(execFile)(process.execPath, [join(dir, 'gatehouse.js'), '--help'], { env })
      // Node makes them for the user that builds alone; they are to be read as the rest is.
      for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644)
      }
      await chmod(directory, 0o755)
    },
  }
}

/** An import that stays one, of another file of the package. */
function otherFile(source: string, published: string): Plugin {
  return {
    name: 'other-file',
    resolveId: (id) => (id === source ? { id: published, external: 'relative' } : undefined),
  }
}

/** Licences of the libraries in the file, which most of them ask to be passed on. */
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
    throw new Error(`${relative('.', folder)} says nothing of its licence`)
  }
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
  return `${name} ${version} (${license ?? 'see below'})\n\n${text}`
}
