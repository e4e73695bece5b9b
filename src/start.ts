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
void import('./main.ts')
