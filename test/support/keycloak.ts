/** Whether a real Keycloak is there for a test. */
import { inject } from 'vitest'

import { keycloakAvailable } from '../../dev/parts/keycloak-distribution.ts'

/** Says loudly what a machine lacks; obtains Keycloak otherwise, which takes long the first time. */
export async function skippedWithoutKeycloak(): Promise<boolean> {
  if (!inject('hasParts')) return true
  const availability = await keycloakAvailable()
  if (availability.available) return false
  process.stderr.write(`\n*** ${availability.reason} ***\n\n`)
  return true
}
