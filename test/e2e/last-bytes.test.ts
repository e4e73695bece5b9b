import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import type { CommandResult } from '../support/command.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'

const NAMESPACE = newNamespace()
/** A measurement takes 100 (`GATEHOUSE_TEST_RUNS=100`). */
const RUNS = Number(process.env['GATEHOUSE_TEST_RUNS'] ?? 10)
/**
 * Without Gatehouse not all runs are right either, since kube-apiserver itself may lose what the kubelet
 * sent: over SPDY about half of them. This is three standard deviations of a fair coin.
 */
const CHANCE = 1.5 * Math.sqrt(2 * RUNS)
/** More than all buffers on the way hold: the command ends before its input is written. */
const INPUT = '\0'.repeat(20_000_000)

const protocols = [
  {
    protocol: 'WebSocket',
    env: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
  },
  { protocol: 'SPDY', env: overSPDY },
]

/** The last bytes of a command that ends while its client still sends. */
describe.skipIf(!inject('hasParts'))('a command that ends before it has read its input', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({ namespace: NAMESPACE })
  })

  afterAll(() => site.stop())

  describe.each(protocols)('over $protocol', ({ protocol, env }) => {
    const isWhole = ({ code, stderr }: CommandResult): boolean =>
      code === 3 && stderr.includes('disk full') && stderr.includes('exit code 3')

    async function runExec(kubectl: Site['cluster']['admin']): Promise<CommandResult> {
      const script = 'head -c 10 >/dev/null; echo disk full >&2; exit 3'
      const args = ['-n', NAMESPACE, 'exec', '-i', 'web', '--', 'sh', '-c', script]
      return kubectl(args, { input: INPUT, env })
    }

    test('delivers its error message and its exit code as often as without Gatehouse', async () => {
      const { kubectl } = site.users['OIDC token']
      const direct = await measure(() => runExec(site.cluster.admin), isWhole)
      const through = await measure(() => runExec(kubectl), isWhole)
      expectAsOften(through, protocol === 'WebSocket' ? ALWAYS : direct)
    })

    test('delivers the message of tar when kubectl cp copies into a missing folder', async () => {
      const { kubectl, home } = site.users['OIDC token']
      await mkdir(join(home, 'large'), { recursive: true })
      await writeFile(join(home, 'large', 'file'), Buffer.alloc(20_000_000))
      const copy = (run: Site['cluster']['admin']) => () =>
        run(['-n', NAMESPACE, 'cp', join(home, 'large', 'file'), 'web:/missing/folder/file'], {
          env,
        })
      const failed = ({ code, stderr }: CommandResult): boolean =>
        code !== 0 && stderr.includes('tar')
      const direct = await measure(copy(site.cluster.admin), failed)
      const through = await measure(copy(kubectl), failed)
      expectAsOften(through, direct)
    })
  })
})

/** More than chance would spare. */
const ALWAYS: Measured = { right: RUNS + CHANCE, wrong: [] }

interface Measured {
  readonly right: number
  /** What a run printed that was not right. */
  readonly wrong: readonly CommandResult[]
}

async function measure(
  run: () => Promise<CommandResult>,
  isRight: (result: CommandResult) => boolean,
): Promise<Measured> {
  const wrong: CommandResult[] = []
  for (let i = 0; i < RUNS; i++) {
    const result = await run()
    if (!isRight(result)) wrong.push(result)
  }
  return { right: RUNS - wrong.length, wrong }
}

function expectAsOften(through: Measured, direct: Measured): void {
  if (RUNS >= 100) process.stderr.write(`right: ${direct.right} direct, ${through.right} through\n`)
  const { right, wrong } = through
  expect({ wrong, isAsOften: right >= direct.right - CHANCE }).toEqual({ wrong, isAsOften: true })
}
