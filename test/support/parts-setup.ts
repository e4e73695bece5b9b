import type { TestProject } from 'vitest/node'

import { startControlPlane, type ControlPlane } from '../../dev/parts/control-plane.ts'
import { partsAvailable } from '../../dev/parts/parts.ts'
import { createKubectl } from './kubectl.ts'
import { applyManifests } from './manifests.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Whether a real control plane can be started here; tests that need one are skipped otherwise. */
    hasParts: boolean
    /** The control plane that test files share (`joinCluster`); undefined without parts. */
    sharedControlPlane: ControlPlane | undefined
  }
}

/**
 * Starts the control plane that test files share, with deploy/kubernetes applied, and stops it when
 * all of them have ended. Where the real parts are missing, it says once how to get them.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const availability = await partsAvailable()
  project.provide('hasParts', availability.available)
  if (!availability.available) {
    process.stderr.write(`\n*** ${availability.reason} ***\n\n`)
    project.provide('sharedControlPlane', undefined)
    return async () => undefined
  }
  const { stop, failed, ...controlPlane } = await startControlPlane()
  // Without its control plane every test file fails by itself, with the reason.
  failed.catch(() => undefined)
  try {
    await applyManifests(createKubectl(controlPlane))
  } catch (error) {
    await stop()
    throw error
  }
  project.provide('sharedControlPlane', controlPlane)
  return stop
}
