import { dirname, resolve } from 'node:path'

export interface WorkingFolder {
  readonly cwd: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * The file that `--config` means. npm runs a script in the folder of its package.json: a path that
 * was typed behind `npm run SCRIPT --` is relative to where npm was called, which it keeps in
 * `INIT_CWD`; one that the script itself holds is relative to the package. Whatever the script runs
 * inherits npm's variables, so that they count in the package's folder only. Other paths are left as
 * they are.
 */
export function resolveConfigFile(name: string, { cwd, env }: WorkingFolder): string {
  const { INIT_CWD: calledIn, npm_package_json: manifest, npm_lifecycle_script: script } = env
  const byNpm = env['npm_lifecycle_event'] !== undefined && manifest !== undefined
  if (!byNpm || calledIn === undefined || calledIn === cwd) return name
  const isTyped = dirname(manifest) === cwd && script?.includes(name) !== true
  return isTyped ? resolve(calledIn, name) : name
}
