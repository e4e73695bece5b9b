import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { newNamespace } from '../support/cluster.ts'
import type { CommandResult } from '../support/command.ts'
import { standInForExec } from '../support/exec-stand-in.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'
import { overSPDY, type Kubectl } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { withToken } from '../support/users.ts'

const NAMESPACE = newNamespace()
/** A measurement takes 100 (`GATEHOUSE_TEST_RUNS=100`). */
const RUNS = Number(process.env['GATEHOUSE_TEST_RUNS'] ?? 16)
/** More than all buffers on the way hold: the command ends before its input is written. */
const INPUT = '\0'.repeat(2_000_000)

/**
 * Without Gatehouse not all runs are right either, since kube-apiserver itself may lose what the kubelet
 * sent: over SPDY up to half of them. `mayFail` is how many more runs may be wrong through Gatehouse by
 * chance: over SPDY three standard deviations of a fair coin. The API server that loses nothing has no
 * such allowance.
 */
const protocols = [
  {
    protocol: 'WebSocket',
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
    mayFail: RUNS / 5,
  },
  { protocol: 'SPDY', env: overSPDY, mayFail: 1.5 * Math.sqrt(2 * RUNS) },
]

type Run = (kubectl: Kubectl) => Promise<CommandResult>

/** Runs a command that leaves a message and an exit code, most of its input unread. */
function exec(env: Record<string, string>): Run {
  const script = 'head -c 10 >/dev/null; echo disk full >&2; exit 3'
  const args = ['-n', NAMESPACE, 'exec', '-i', 'web', '--', 'sh', '-c', script]
  return (kubectl) => kubectl(args, { input: INPUT, env })
}

function isWhole({ code, stderr }: CommandResult): boolean {
  return code === 3 && stderr.includes('disk full') && stderr.includes('exit code 3')
}

/** The last bytes of a command that ends while its client still sends. */
describe.skipIf(!inject('hasParts'))('a command that ends before it has read its input', () => {
  let site: Site
  let api: ApiServer
  let gatehouse: TestGatehouse
  let standIn: Kubectl

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE })
    api = await startApiServer()
    standInForExec(api, { stderr: 'disk full\n', exitCode: 3 })
    gatehouse = await startTestGatehouse({ upstream: upstreamOf(api) })
    const user = await withToken(site.cluster.controlPlane, gatehouse)
    standIn = user.kubectl
  })

  afterAll(async () => {
    await gatehouse.close()
    await api.close()
    await site.stop()
  })

  describe.each(protocols)('over $protocol', ({ env, mayFail }) => {
    test('delivers its error message and its exit code as often as without Gatehouse', async () => {
      const measured = await measure(site, exec(env), isWhole)
      expectAsOften(measured, mayFail)
    })

    test('delivers them each time from an API server that loses nothing', async () => {
      const wrong: CommandResult[] = []
      for (let i = 0; i < RUNS; i += 2) {
        const results = await Promise.all([exec(env)(standIn), exec(env)(standIn)])
        wrong.push(...results.filter((result) => !isWhole(result)))
      }
      expect(wrong).toEqual([])
    })

    test('delivers the message of tar when kubectl cp copies into a missing folder', async () => {
      const { home } = site.users['OIDC token']
      await mkdir(join(home, 'large'), { recursive: true })
      await writeFile(join(home, 'large', 'file'), INPUT)
      const copy: Run = (kubectl) =>
        kubectl(['-n', NAMESPACE, 'cp', join(home, 'large', 'file'), 'web:/missing/folder/file'], {
          env,
        })
      const failed = ({ code, stderr }: CommandResult): boolean =>
        code !== 0 && stderr.includes('tar')
      expectAsOften(await measure(site, copy, failed), mayFail)
    })
  })
})

interface Measured {
  /** How many runs were right without Gatehouse. */
  readonly direct: number
  /** What a run through Gatehouse printed that was not right. */
  readonly wrong: readonly CommandResult[]
}

/** Runs a command both ways at once, so that whatever else this machine does affects both. */
async function measure(
  { cluster, users }: Site,
  run: Run,
  isRight: (result: CommandResult) => boolean,
): Promise<Measured> {
  const wrong: CommandResult[] = []
  let direct = 0
  for (let i = 0; i < RUNS; i++) {
    const [without, through] = await Promise.all([
      run(cluster.admin),
      run(users['OIDC token'].kubectl),
    ])
    if (isRight(without)) direct += 1
    if (!isRight(through)) wrong.push(through)
  }
  return { direct, wrong }
}

function expectAsOften({ direct, wrong }: Measured, mayFail: number): void {
  const through = RUNS - wrong.length
  if (RUNS >= 100) process.stderr.write(`right: ${direct} direct, ${through} through\n`)
  const isAsOften = through >= direct - mayFail
  expect({ wrong, isAsOften }).toEqual({ wrong, isAsOften: true })
}
