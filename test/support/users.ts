/** Users of a Gatehouse, each with a kubeconfig, a home folder and a kubectl. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { CertificateRequest } from '../../certs-dev/pki.ts'
import { formatKubeconfig } from '../../dev/parts/kubeconfig.ts'
import type { TestControlPlane } from './cluster.ts'
import type { TestGatehouse } from './gatehouse.ts'
import { base64, certificateUser } from './kubeconfig-user.ts'
import { createKubectl, type Kubectl } from './kubectl.ts'
import { startProgram, type RunningProgram } from './program.ts'

export interface User {
  /** The name that the API server must see. */
  readonly username: string
  readonly groups: readonly string[]
  readonly kubeconfig: string
  /** The home folder and working directory of kubectl. */
  readonly home: string
  /** Runs kubectl and waits until it ends. */
  readonly kubectl: Kubectl
  /** Starts a kubectl that keeps running. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): RunningProgram
}

/** Creates a user for each kind of credential. */
export const SIGN_IN = { 'client certificate': withCertificate, 'OIDC token': withToken } as const

export type Credential = keyof typeof SIGN_IN

/** The kinds of credentials, for `test.for` and `describe.each`. */
export const CREDENTIALS: readonly Credential[] = ['client certificate', 'OIDC token']

/** A user with a client certificate, by default ada in the group engineers. */
export async function withCertificate(
  controlPlane: TestControlPlane,
  gatehouse: TestGatehouse,
  subject: Partial<CertificateRequest> = {},
): Promise<User> {
  const { commonName = 'ada', organizations = ['engineers'] } = subject
  const pair = await gatehouse.certificate({ ...subject, commonName, organizations })
  return createUser(controlPlane, gatehouse, commonName, organizations, certificateUser(pair))
}

/** A user with an OIDC token, by default ada in the group engineers; both get the prefix `oidc:`. */
export async function withToken(
  controlPlane: TestControlPlane,
  gatehouse: TestGatehouse,
  { sub = 'ada', groups = ['engineers'] }: { sub?: string; groups?: readonly string[] } = {},
): Promise<User> {
  const token = await gatehouse.token({ sub, groups })
  const prefixed = groups.map((group) => `oidc:${group}`)
  return createUser(controlPlane, gatehouse, `oidc:${sub}`, prefixed, { token })
}

/** A user with any credential, valid or not: `user` is the user of a kubeconfig. */
export async function createUser(
  controlPlane: TestControlPlane,
  gatehouse: Pick<TestGatehouse, 'url' | 'ca'>,
  username: string,
  groups: readonly string[],
  user: Readonly<Record<string, string>>,
): Promise<User> {
  const home = await mkdtemp(join(controlPlane.directory, 'home-'))
  const kubeconfig = join(home, 'kubeconfig')
  const cluster = { server: gatehouse.url, 'certificate-authority-data': base64(gatehouse.ca) }
  const text = formatKubeconfig({ cluster, user, namespace: controlPlane.namespace })
  await writeFile(kubeconfig, text, { mode: 0o600 })
  return {
    username,
    groups: [...groups, 'system:authenticated'],
    kubeconfig,
    home,
    kubectl: createKubectl({ ...controlPlane, directory: home }, kubeconfig),
    start: (args, env = {}) =>
      startProgram(controlPlane.kubectl, args, {
        cwd: home,
        env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: kubeconfig, ...env },
      }),
  }
}
