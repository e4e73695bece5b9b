import { validate, type ValidateOutput } from '../../src/cli/validate.ts'
import type { InClusterEnvironment } from '../../src/config/environment.ts'

export interface Validated {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The passwords that were sent. */
  readonly passwords: readonly string[]
}

export interface ValidatedOptions {
  readonly online?: boolean
  /** By default, not in a pod. */
  readonly inCluster?: InClusterEnvironment | undefined
  readonly output?: ValidateOutput
}

/** Runs `gatehouse validate` in this process. */
export async function validated(
  configFile: string,
  { online = false, inCluster = NO_POD, output = 'text' }: ValidatedOptions = {},
): Promise<Validated> {
  const passwords: string[] = []
  let [stdout, stderr] = ['', '']
  const code = await validate(
    { configFile, online, inCluster, output },
    {
      stdout: { write: (text) => (stdout += text) },
      stderr: { write: (text) => (stderr += text) },
      onPassword: (password) => passwords.push(password),
    },
  )
  return { code, stdout, stderr, passwords }
}

const NO_POD: InClusterEnvironment = { host: '', port: '443', folder: '/nowhere' }
