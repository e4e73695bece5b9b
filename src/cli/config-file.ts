import { dirname, resolve } from 'node:path'

export interface WorkingDirectory {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Resolves the path given with `--config`. npm runs a script in the directory of its package.json: a
 * path typed after `npm run SCRIPT --` is relative to where npm was called, which is in `INIT_CWD`; a
 * path in the script itself is relative to the package. Programs that the script starts inherit npm's
 * variables, so these count only in the package's directory. Other paths are returned unchanged.
 */
export function resolveConfigFile(name: string, { cwd, env }: WorkingDirectory): string {
  const { INIT_CWD: calledIn, npm_package_json: manifest, npm_lifecycle_script: script } = env
  const byNpm = env['npm_lifecycle_event'] !== undefined && manifest !== undefined
  if (!byNpm || calledIn === undefined || calledIn === cwd) return name
  const isTyped = dirname(manifest) === cwd && script?.includes(name) !== true
  return isTyped ? resolve(calledIn, name) : name
}
