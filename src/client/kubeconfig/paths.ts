import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

import type { ClientHost } from '../host.ts'

/** The kubeconfig files in the order in which kubectl reads them: the first file that sets a value wins. */
export function kubeconfigPaths(
  { env, home }: Pick<ClientHost, 'env' | 'home'>,
  explicit: string | undefined,
): readonly string[] {
  if (explicit !== undefined && explicit !== '') return [explicit]
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '')
  return named.length > 0 ? [...new Set(named)] : [join(home(), '.kube', 'config')]
}

/** Where kubectl writes new entries (client-go PathOptions.GetDefaultFilename). */
export function defaultPath(paths: readonly string[]): string {
  return paths.find((path) => existsSync(path)) ?? paths.at(-1) ?? ''
}
