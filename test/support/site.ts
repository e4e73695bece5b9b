/** A real cluster, a Gatehouse in front of it with the shipped rules, and a user of each kind. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { parse } from 'yaml'

import { joinCluster, startCluster, type Cluster, type ClusterOptions } from './cluster.ts'
import { startTestGatehouse, type TestGatehouse, type TestGatehouseOptions } from './gatehouse.ts'
import { CREDENTIALS, SIGN_IN, type Credential, type User } from './users.ts'

export interface Site {
  readonly cluster: Cluster
  readonly gatehouse: TestGatehouse
  readonly users: Readonly<Record<Credential, User>>
  stop(): Promise<void>
}

export interface SiteOptions extends Omit<TestGatehouseOptions, 'upstream'>, ClusterOptions {
  /** With a control plane of its own, whose audit log no other test file writes. False by default. */
  readonly isAlone?: boolean
}

/** Starts a site in a namespace of the control plane that test files share. */
export async function startSite(options: SiteOptions): Promise<Site> {
  const { pod = true, namespace, isAlone = false, ...gatehouseOptions } = options
  const cluster = await (isAlone ? startCluster : joinCluster)({ namespace, pod })
  try {
    const gatehouse = await startTestGatehouse({
      upstream: { kubeconfig: cluster.gatehouseKubeconfig },
      rules: await readShippedRules(),
      ...gatehouseOptions,
    })
    const users = await Promise.all(
      CREDENTIALS.map(async (credential) => {
        return [credential, await SIGN_IN[credential](cluster.controlPlane, gatehouse)] as const
      }),
    )
    return {
      cluster,
      gatehouse,
      users: Object.fromEntries(users) as Record<Credential, User>,
      async stop() {
        await gatehouse.close()
        await cluster.stop()
      },
    }
  } catch (error) {
    await cluster.stop()
    throw error
  }
}

/** Reads config/rules.yaml, which leaves everything except the proxy subresources to RBAC. */
export async function readShippedRules(): Promise<{ readonly rules: readonly unknown[] }> {
  const file = resolve(import.meta.dirname, '../../config/rules.yaml')
  return parse(await readFile(file, 'utf8')) as { rules: unknown[] }
}
