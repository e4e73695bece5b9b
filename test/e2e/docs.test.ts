/**
 * The commands of docs/installing.md, issuers.md, users.md and everyday.md, word for word and in order, in
 * one shell, by an administrator of a real control plane, with the package of `npm pack` and a real Dex.
 * Addresses differ. kubelogin is a stand-in, which takes its options and its way to a token. No image is
 * built: the pods of the Deployment are the stand-in node's, so what is seen of a rollout is its objects
 * and kubectl's verdict, not a Gatehouse in a pod.
 */
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { startControlPlane, type RunningControlPlane } from '../../dev/parts/control-plane.ts'
import { freePorts } from '../../dev/parts/free-ports.ts'
import { part, partsAvailable } from '../../dev/parts/parts.ts'
import { command, type CommandResult } from '../support/command.ts'
import { blocksOf, documents } from '../support/documents.ts'
import { installKubelogin } from '../support/kubelogin.ts'
import { packPackage } from '../support/package.ts'

const dexAvailability = await partsAvailable(['dex'])
if (!dexAvailability.available) process.stderr.write(`\n*** ${dexAvailability.reason} ***\n\n`)

/** The sign-in in a browser, and the package of a registry: see sign-in.test.ts and test/package. */
const SIGN_IN = /^gatehouse login /m
/** Commands that need a container engine, and images of a registry. */
const NEEDS_DOCKER = /^docker /m

describe.skipIf(!inject('hasParts') || !dexAvailability.available)('the steps of the docs', () => {
  let controlPlane: RunningControlPlane
  let folder = ''
  let run: CommandResult
  const shown = (step: string): string =>
    run.stdout.split(/^=== /m).find((part) => part.startsWith(`${step}\n`)) ?? ''

  beforeAll(async () => {
    controlPlane = await startControlPlane()
    folder = await mkdtemp(join(tmpdir(), 'gatehouse-docs-'))
    const [port = 0, probes = 0, dex = 0] = await freePorts(3)
    const work = join(folder, 'work')
    const bin = join(folder, 'bin')
    const prefix = join(folder, 'prefix')
    for (const directory of [work, bin, prefix]) await mkdir(directory)
    await symlink(controlPlane.kubectl, join(bin, 'kubectl'))
    await symlink(await part('dex'), join(bin, 'dex'))
    await installKubelogin(bin)
    await cp(await packPackage(folder), join(work, 'gatehouse-0.1.0.tgz'))

    const address = (text: string): string =>
      text
        .replaceAll('gatehouse.example.com:8443', `127.0.0.1:${port}`)
        .replaceAll('127.0.0.1:8081', `127.0.0.1:${probes}`)
        .replaceAll('dex.example.com:5556', `127.0.0.1:${dex}`)
        .replaceAll('127.0.0.1:5556', `127.0.0.1:${dex}`)
    const shellOf = ({ block, before }: Step): string => {
      const text = address(block)
      const [first = ''] = text.split('\n').filter((line) => !line.startsWith('#'))
      const title = `echo ${JSON.stringify(`=== ${first}`).replaceAll('$', '\\$')}`
      if (first.startsWith('gatehouse serve')) {
        return `${title}\n${inBackground(text, 'serve', `http://127.0.0.1:${probes}/readyz`)}`
      }
      if (first.startsWith('dex serve')) {
        return `${title}\n${inBackground(text, 'dex', `https://127.0.0.1:${dex}/healthz`)}`
      }
      return `${title}\n${before === undefined ? text : `(\n${before}\n${text}\n)`}`
    }
    const steps = (await stepsOf(port, probes)).filter(({ block }) => {
      if (!NEEDS_DOCKER.test(block)) return true
      process.stderr.write('\n*** SKIPPED, not tested: docker build, docker push. ***\n\n')
      return false
    })
    const script = ["trap 'kill $(jobs -p) || true' EXIT", ...steps.map(shellOf)].join('\n')
    run = await command('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: work,
      env: {
        PATH: `${bin}:${prefix}/bin:${dirname(process.execPath)}:${process.env['PATH']}`,
        HOME: folder,
        KUBECONFIG: controlPlane.adminKubeconfig,
        npm_config_prefix: prefix,
        npm_config_update_notifier: 'false',
      },
    })
  })

  afterAll(async () => {
    await controlPlane.stop()
    await rm(folder, { recursive: true })
  })

  test('all succeed', () => {
    expect(run).toMatchObject({ code: 0 })
  })

  test('pass every online check, with the real issuer', () => {
    const [title, ...lines] = shown('gatehouse validate --online --config gatehouse.yaml')
      .trim()
      .split('\n')
    expect(title).toBe('gatehouse validate --online --config gatehouse.yaml')
    expect(lines).toEqual([
      'gatehouse.yaml is valid',
      expect.stringMatching(/^\[\+\]jwks https:\/\/127\.0\.0\.1:\d+ ok$/),
      '[+]upstream-reachable ok',
      '[+]upstream-rejects-anonymous ok',
      '[+]upstream-asserts-identity ok',
    ])
  })

  test('print a Secret for Argo CD, with one label', () => {
    expect(shown('grep -c argocd.argoproj.io/secret-type cluster-secret.yaml')).toMatch(/^1$/m)
  })

  test('make Gatehouse ready', () => {
    expect(run.stdout).toContain('readyz check passed')
  })

  test('sign a user of Dex in by kubelogin, with the groups of the scope, and give the rights of one', () => {
    const own = shown(
      'kubectl auth whoami              # the user and groups that the cluster sees',
    )
    expect(own).toMatch(/^Username\s+oidc:kilgore@kilgore\.trout$/m)
    expect(own).toMatch(/^Groups\s+\[oidc:authors system:authenticated\]$/m)
    expect(own).toMatch(/^configmaps .*\[get list watch\]$/m)
    expect(
      shown('kubectl --kubeconfig=sso.kubeconfig get configmaps -n kube-system -o name'),
    ).toContain('configmap/kube-root-ca.crt')
  })

  test('let a user with a certificate in, with the group of the certificate', () => {
    expect(run.stdout).toMatch(/^Username\s+ada\nGroups\s+\[engineers system:authenticated\]$/m)
    expect(
      shown('kubectl --kubeconfig=ada.kubeconfig get configmaps -n kube-system -o name'),
    ).toContain('configmap/kube-root-ca.crt')
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

  test('roll a new image out, back, and out again', () => {
    expect(run.stdout.match(/^image after .*$/gm)).toEqual([
      'image after apply: registry.example.com/gatehouse:0.1.0',
      'image after set: registry.example.com/gatehouse:0.1.1',
      'image after undo: registry.example.com/gatehouse:0.1.0',
    ])
    expect(run.stdout.match(/^deployment "gatehouse" successfully rolled out$/gm)).toHaveLength(3)
    expect(shown('kubectl -n gatehouse rollout restart deployment/gatehouse')).toContain(
      'restarted',
    )
  })

  test('find the requests of these users in the audit log', () => {
    const queries = shown(`jq --arg id "$ID" 'select(.auditID == $id)' audit.log`)
    expect(queries).toContain('"kind": "Event"')
    expect(queries).toMatch(/^ +\d+ rbac-decides$/m)
  })
})

test.for(documents)('every command of %s is one of these steps', async (document) => {
  const steps = (await stepsOf(8443, 8081)).map(({ block }) => block)
  const missing = (await blocksOf(document)).filter((block) => !steps.includes(block))
  expect(missing.filter((block) => !SIGN_IN.test(block))).toEqual([])
})

test.for(documents)('no command of %s leaves KUBECONFIG exported', async (document) => {
  expect((await blocksOf(document)).join('\n').match(/^export .*$/gm)).toBeNull()
})

/** A block of a document, or what the text around one says to do. */
interface Step {
  readonly block: string
  /** Then the step has a shell of its own, in which this comes first. */
  readonly before?: string
}

/** All steps in the order in which a reader takes them. */
async function stepsOf(port: number, probes: number): Promise<Step[]> {
  const installing = await blocksOf('installing.md')
  const dex = await blocksOf('issuers.md', 'Dex')
  const [, builder = '', argocd = '', request = '', whoAmI = ''] = await blocksOf('users.md')
  const [kubelogin = ''] = await blocksOf('users.md', 'With an OIDC token', 'yaml')
  const operations = await blocksOf('operations.md')
  const [signing = '', kubeconfig = '', authority = '', revoke = '', logs = '', queries = ''] =
    await blocksOf('everyday.md')
  const sso = kubelogin
    .replace('https://login.example.com/realms/company', 'https://dex.example.com:5556')
    .replace(/^( +- )--oidc-client-id.*$/m, '$&\n$1--certificate-authority=$PWD/gatehouse-ca.crt')
  /** What follows a block of installing.md, by its beginning. */
  const additions: Readonly<Record<string, readonly (string | Step)[]>> = {
    'cp config/': [
      `sed -i 's/port: 8443/port: ${port}/; s/port: 8081/port: ${probes}/' gatehouse.yaml`,
      ...dex,
    ],
    'curl ': [
      `cat > sso.kubeconfig <<END\n${sso}\nEND`,
      { block: whoAmI, before: 'export KUBECONFIG=sso.kubeconfig' },
      'kubectl create namespace team-a',
      'kubectl -n team-a create serviceaccount builder',
      'kubectl --kubeconfig=sso.kubeconfig get configmaps -n kube-system -o name',
      // Prints no newline, so the title of the next step is not found.
      builder,
      argocd,
      'grep -c argocd.argoproj.io/secret-type cluster-secret.yaml',
      'kubectl create clusterrolebinding engineers-view --clusterrole=view --group=engineers',
      ...[request, signing, kubeconfig],
      'kubectl --kubeconfig=ada.kubeconfig get configmaps -n kube-system -o name',
      ...[authority, revoke],
    ],
    'docker ': [
      `sed -i 's|image: .*|image: registry.example.com/gatehouse:0.1.0|' deploy/kubernetes/30-deployment.yaml`,
    ],
    'kubectl -n gatehouse rollout status': [imageAfter('apply')],
    'kubectl -n gatehouse set image': [imageAfter('set')],
    'kubectl -n gatehouse rollout undo': [imageAfter('undo')],
    'kubectl -n gatehouse rollout restart': [
      'kubectl -n gatehouse rollout status deployment/gatehouse',
    ],
  }
  const addedTo = (block: string): readonly (string | Step)[] =>
    Object.entries(additions).find(([start]) => block.startsWith(start))?.[1] ?? []
  return [
    ...installing.flatMap((block) => [block, ...addedTo(block)]),
    // In a directory of its own: it would overwrite the audit log of the Gatehouse on this machine.
    { block: logs, before: 'mkdir pods && cd pods' },
    ...operations,
    'ID=$(jq -rn input.auditID audit.log)',
    queries,
  ].map((step) => (typeof step === 'string' ? { block: step } : step))
}

function imageAfter(after: string): string {
  const image = '{.spec.template.spec.containers[0].image}'
  return `kubectl -n gatehouse get deployment gatehouse -o jsonpath='image after ${after}: ${image}{"\\n"}'`
}

/** It serves until the shell ends, as in a second terminal. */
function inBackground(step: string, name: string, url: string): string {
  return [
    `${step} > ${name}.log 2>&1 &`,
    `for i in $(seq 300); do curl -sf --cacert gatehouse-ca.crt ${url} > /dev/null && break; sleep 0.1; done`,
  ].join('\n')
}
