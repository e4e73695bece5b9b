#!/usr/bin/env node
/**
 * What the package runs first: says so when Node is too old to read the rest, which would otherwise
 * fail with an error that helps nobody. So this file is plain, and imports nothing before it looked.
 */
const OLDEST = 26

const major = Number(process.versions.node.split('.')[0])
if (major < OLDEST) {
  process.stderr.write(`gatehouse needs Node ${OLDEST} or newer, this is ${process.version}\n`)
  process.exit(2)
}

/**
 * What the build compiled already, of use to the same version of Node only. For another one it stays
 * off: it would write here what it compiles itself, and nothing is written where code is read from.
 */
const compiled = new URL('./compile-cache/', import.meta.url)
const { readdirSync } = process.getBuiltinModule('node:fs')
const { enableCompileCache } = process.getBuiltinModule('node:module')
const { fileURLToPath } = process.getBuiltinModule('node:url')
if (isForThisNode(fileURLToPath(compiled))) {
  enableCompileCache({ directory: fileURLToPath(compiled), portable: true })
}
void import('./main.ts')

function isForThisNode(folder: string): boolean {
  try {
    const prefix = `${process.version}-${process.arch}-`
    return readdirSync(folder).some((name) => name.startsWith(prefix))
  } catch {
    return false
  }
}
