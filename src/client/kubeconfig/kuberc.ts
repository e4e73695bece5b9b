import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { parse } from 'yaml'

import type { ClientHost } from '../host.ts'

/**
 * What a user has to add to kuberc, where kubectl runs only listed credential plugins (KEP-3104,
 * kubectl pkg/config/types.go); undefined when nothing is missing.
 *
 * @param command the command in the kubeconfig
 */
export function missingPluginEntry(
  { env, home }: Pick<ClientHost, 'env' | 'home'>,
  command: string,
): string | undefined {
  const { KUBERC: named = '' } = env
  if (named === 'off' || env['KUBECTL_KUBERC'] === 'false') return undefined
  const path = named === '' ? join(home(), '.kube', 'kuberc') : named
  const kuberc = readYAML(path)
  const { credentialPluginPolicy: policy, credentialPluginAllowlist: allowlist } = kuberc
  if (policy === 'DenyAll') {
    return `kubectl runs no credential plugin: ${path} has credentialPluginPolicy: DenyAll`
  }
  if (policy !== 'Allowlist') return undefined
  const entries: readonly unknown[] = Array.isArray(allowlist) ? allowlist : []
  if (entries.some((entry) => isFor(entry, command))) return undefined
  return (
    `kubectl runs only listed credential plugins. Add this to ${path}:\n\n` +
    `credentialPluginAllowlist:\n- command: ${command} # name: in kubectl 1.35`
  )
}

function isFor(entry: unknown, command: string): boolean {
  if (typeof entry !== 'object' || entry === null) return false
  const { name, command: listed } = entry as Record<string, unknown>
  return name === command || listed === command
}

/** A file that cannot be read or parsed is kubectl's own problem to report. */
function readYAML(path: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
