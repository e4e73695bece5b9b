#!/usr/bin/env node
/**
 * The entry point of the package. It checks the version of Node.js first, since an older one would fail
 * on the rest with a syntax error. So this file uses plain syntax, and imports nothing before the check.
 */
const OLDEST = 26

const major = Number(process.versions.node.split('.')[0])
if (major < OLDEST) {
  process.stderr.write(
    `gatehouse requires Node.js ${OLDEST} or newer; this is ${process.version}\n`,
  )
  process.exit(2)
}

/**
 * The compile cache made by the build; only the same version of Node.js can use it. With another
 * version the cache stays off: Node.js would write to it, and nothing is written where code is read.
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
