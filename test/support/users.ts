/** Users of a Gatehouse as they sit before their terminals: a kubeconfig, a home, a kubectl. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { stringify } from 'yaml'

import type { CertificateRequest } from '../../certs-dev/pki.ts'
import type { ControlPlane } from '../../dev/parts/control-plane.ts'
import type { TestGatehouse } from './gatehouse.ts'
import { createKubectl, type Kubectl } from './kubectl.ts'
import { startProgram, type RunningProgram } from './program.ts'

export interface User {
  /** As the API server has to know them. */
  readonly username: string
  readonly groups: readonly string[]
  readonly kubeconfig: string
  /** Where kubectl runs; its home, too. */
  readonly home: string
  /** Runs kubectl to its end. */
  readonly kubectl: Kubectl
  /** Starts a kubectl that goes on. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>): RunningProgram
}

/** How the users of the tests sign in. */
export const SIGN_IN = { 'client certificate': withCertificate, 'OIDC token': withToken } as const

export type Credential = keyof typeof SIGN_IN

export const CREDENTIALS: readonly Credential[] = ['client certificate', 'OIDC token']

/** ada of the group engineers, by client certificate, unless the subject says otherwise. */
export async function withCertificate(
  controlPlane: ControlPlane,
  gatehouse: TestGatehouse,
  subject: Partial<CertificateRequest> = {},
): Promise<User> {
  const { commonName = 'ada', organizations = ['engineers'] } = subject
  const pair = await gatehouse.certificate({ ...subject, commonName, organizations })
  return createUser(controlPlane, gatehouse, commonName, organizations, {
    'client-certificate-data': base64(pair.certificatePem),
    'client-key-data': base64(pair.keyPem),
  })
}

/** ada of the group engineers, by OIDC token; both get the prefix `oidc:`. */
export async function withToken(
  controlPlane: ControlPlane,
  gatehouse: TestGatehouse,
  { sub = 'ada', groups = ['engineers'] }: { sub?: string; groups?: readonly string[] } = {},
): Promise<User> {
  const token = await gatehouse.token({ sub, groups })
  const prefixed = groups.map((group) => `oidc:${group}`)
  return createUser(controlPlane, gatehouse, `oidc:${sub}`, prefixed, { token })
}

/** A user with anything as a credential, good or bad: `user` of a kubeconfig. */
export async function createUser(
  controlPlane: ControlPlane,
  gatehouse: Pick<TestGatehouse, 'url' | 'ca'>,
  username: string,
  groups: readonly string[],
  user: Readonly<Record<string, string>>,
): Promise<User> {
  const home = await mkdtemp(join(controlPlane.directory, 'home-'))
  const kubeconfig = join(home, 'kubeconfig')
  const cluster = { server: gatehouse.url, 'certificate-authority-data': base64(gatehouse.ca) }
  const context = { cluster: 'gatehouse', user: 'user', namespace: 'team-a' }
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'gatehouse', cluster }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'gatehouse', context }],
    'current-context': 'gatehouse',
  }
  await writeFile(kubeconfig, stringify(config), { mode: 0o600 })
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

function base64(pem: string): string {
  return Buffer.from(pem).toString('base64')
}
