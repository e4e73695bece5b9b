/** The check of `servers` and `startTLS` of a directory against each other. */
import { valueAt, type Path } from '../path.ts'
import type { AddProblem } from './add-problem.ts'

/** Checks the servers of the directory at a path. */
export function checkServers(directory: unknown, path: Path, add: AddProblem): void {
  const startTLS = valueAt(directory, ['startTLS']) === true
  const servers = valueAt(directory, ['servers'])
  const scheme = startTLS ? 'ldap://' : 'ldaps://'
  for (const [i, server] of (Array.isArray(servers) ? servers : []).entries()) {
    if (typeof server !== 'string' || server.startsWith(scheme)) continue
    const fix = startTLS ? 'write ldap://, or startTLS: false' : 'write ldaps://, or startTLS: true'
    add([...path, 'servers', i], `does not begin with ${scheme}`, fix)
  }
}
