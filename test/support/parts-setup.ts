import type { TestProject } from 'vitest/node'
import { partsAvailable } from '../../dev/parts/parts.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether a real control plane can be started; if not, tests that need one are skipped. */
    hasParts: boolean
  }
}

/** Prints once per run, prominently, which real parts are missing and how to get them. */
export default async function setup(project: TestProject): Promise<void> {
  const availability = await partsAvailable()
  if (!availability.available) process.stderr.write(`\n*** ${availability.reason} ***\n\n`)
  project.provide('hasParts', availability.available)
}
