/**
 * The commands of docs/installing.md, docs/users.md and docs/everyday.md, word for word and in order, in
 * one shell, by an administrator of a real control plane. Only addresses differ, and what needs an image.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { startControlPlane, type RunningControlPlane } from '../../dev/parts/control-plane.ts'
import { freePorts } from '../../dev/parts/free-ports.ts'
import { createSigningKey, startIssuer, type TestIssuer } from '../authentication/oidc/issuer.ts'
import { command, type CommandResult } from '../support/command.ts'

const root = resolve(import.meta.dirname, '../..')

/** Commands that need a registry or running pods. */
const NOT_HERE = /^(?:docker|npm install|kubectl -n gatehouse (?:rollout|set|exec))/m

describe.skipIf(!inject('hasParts'))('the steps of the documents', () => {
  let controlPlane: RunningControlPlane
  let issuer: TestIssuer
  let folder = ''
  let run: CommandResult
  const shown = (step: string): string =>
    run.stdout.split(/^=== /m).find((part) => part.startsWith(`${step}\n`)) ?? ''

  beforeAll(async () => {
    controlPlane = await startControlPlane({ kubelet: false })
    issuer = await startIssuer([(await createSigningKey('key')).publicJwk])
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-docs-'))
    const [port = 0, probes = 0] = await freePorts(2)
    for (const name of ['config', 'deploy']) {
      await cp(join(root, name), join(folder, name), { recursive: true })
    }
    const bin = join(folder, 'bin')
    await mkdir(bin)
    await symlink(controlPlane.kubectl, join(bin, 'kubectl'))
    const main = join(root, 'src/main.ts')
    const program = `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`
    await writeFile(join(bin, 'gatehouse'), program, { mode: 0o755 })

    const installing = await blocksOf('installing.md')
    const [request] = await blocksOf('users.md')
    const [signing, kubeconfig, authority, revoke] = await blocksOf('everyday.md')
    // What the text around the commands says to edit: ports, and the issuer.
    const edit = [
      `sed -i 's/port: 8443/port: ${port}/; s/port: 8081/port: ${probes}/' gatehouse.yaml`,
      `sed -i 's|https://login.example.com/realms/company|${issuer.url}|' authentication.yaml`,
      `sed -i 's|^    claimMappings:|      certificateAuthority: ${JSON.stringify(issuer.certificateAuthority).replaceAll('\\', '\\\\')}\\n&|' authentication.yaml`,
    ].join('\n')
    const users = [
      'kubectl create clusterrolebinding engineers-view --clusterrole=view --group=engineers',
      request,
      signing,
      kubeconfig,
      'kubectl --kubeconfig=ada.kubeconfig get configmaps -n kube-system -o name',
      [authority, revoke].join('\n'),
    ]
    const cut = installing.findIndex((block) => block.startsWith('curl')) + 1
    const steps = [...installing.slice(0, cut), ...users, ...installing.slice(cut)]
      .filter((step = '') => !NOT_HERE.test(step))
      .map((step = '') => {
        const text = step
          .replaceAll('gatehouse.example.com:8443', `127.0.0.1:${port}`)
          .replaceAll('127.0.0.1:8081', `127.0.0.1:${probes}`)
        const first = text.split('\n').find((line) => !line.startsWith('#')) ?? ''
        const body = first.startsWith('gatehouse serve') ? serveInBackground(text, probes) : text
        const edited = first.startsWith('cp config') ? `${body}\n${edit}` : body
        return `echo ${JSON.stringify(`=== ${first}`).replaceAll('$', '\\$')}\n${edited}`
      })
    run = await command('bash', ['-euo', 'pipefail', '-c', steps.join('\n')], {
      cwd: folder,
      env: {
        PATH: `${bin}:${process.env['PATH']}`,
        HOME: folder,
        KUBECONFIG: controlPlane.adminKubeconfig,
      },
    })
  })

  afterAll(async () => {
    await issuer.close()
    await controlPlane.stop()
    await rm(folder, { recursive: true })
  })

  test('all succeed', () => {
    expect(run).toMatchObject({ code: 0 })
  })

  test('pass every online check', () => {
    expect(shown('gatehouse validate --online --config gatehouse.yaml').trim().split('\n')).toEqual(
      [
        'gatehouse validate --online --config gatehouse.yaml',
        'gatehouse.yaml is valid',
        `[+]jwks ${issuer.url} ok`,
        '[+]upstream-reachable ok',
        '[+]upstream-rejects-anonymous ok',
        '[+]upstream-asserts-identity ok',
      ],
    )
  })

  test('make Gatehouse ready', () => {
    expect(run.stdout).toContain('readyz check passed')
  })

  test('let the user in, with the group of the certificate', () => {
    expect(run.stdout).toMatch(/^Username\s+ada\nGroups\s+\[engineers system:authenticated\]$/m)
    expect(run.stdout).toContain('configmap/kube-root-ca.crt')
  })

  test('check the files of the cluster without a pod, with one warning', () => {
    const warnings = run.stderr.match(/^warning: .*$/gm)
    expect(warnings).toEqual([expect.stringContaining('was not checked: not running in a pod')])
    expect(run.stdout).toContain('check/gatehouse.yaml is valid')
  })

  test('apply every manifest after the namespace and the Secrets', () => {
    expect(run.stdout).toContain('secret/gatehouse-serving created')
    expect(run.stdout).toContain('deployment.apps/gatehouse created')
  })
})

test.for(['installing.md', 'users.md', 'everyday.md', 'operations.md'])(
  'no command of %s leaves KUBECONFIG exported',
  async (document) => {
    expect((await blocksOf(document)).join('\n').match(/^export .*$/gm)).toBeNull()
  },
)

/** The shell commands of a document, a block each. */
async function blocksOf(document: string): Promise<string[]> {
  const text = await readFile(join(root, 'docs', document), 'utf8')
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = '']) => block.trim())
}

/** It serves until the shell ends, as in a second terminal. */
function serveInBackground(step: string, probes: number): string {
  return [
    `${step} > serve.log 2>&1 &`,
    'trap "kill $!" EXIT',
    `for i in $(seq 300); do curl -sf http://127.0.0.1:${probes}/readyz > ready && break; sleep 0.1; done`,
  ].join('\n')
}
