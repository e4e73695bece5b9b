/** The memory limits that are shipped hold what the default limits add up to, as docs/operations.md says. */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'
import { parse } from 'yaml'

import { configurationSchema } from '../../src/config/schema.ts'
import { find, podTemplate, readManifests } from '../support/manifests.ts'

const root = resolve(import.meta.dirname, '../..')
const BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 1_024, MiB: 1_048_576 }
/** Users who are at all their limits at the same time. */
const USERS = 2

interface Line {
  readonly what: string
  readonly field: string
  readonly number: string
  readonly each: string
  readonly mebibytes: number
}

async function lines(): Promise<Line[]> {
  const text = await readFile(join(root, 'docs/operations.md'), 'utf8')
  const section = text.slice(text.indexOf('## Sizing: memory'), text.indexOf('## Several replicas'))
  return [...section.matchAll(/^\| (.*) \|$/gm)].slice(2).map(([, row = '']) => {
    const [what = '', field = '', number = '', each = '', mebibytes = ''] = row
      .split('|')
      .map((cell) => cell.trim().replaceAll('`', ''))
    return { what, field, number, each, mebibytes: Number(mebibytes) }
  })
}

/** What the manifests ship: the defaults, unless their ConfigMap says otherwise. */
async function shippedConfiguration(): Promise<object> {
  const { data } = find(await readManifests(), 'ConfigMap', 'gatehouse-config')
  return configurationSchema.parse(parse(data?.['gatehouse.yaml'] ?? ''))
}

function valueOf(configuration: object, field: string): unknown {
  return field
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], configuration)
}

/** Both groups: what anybody can cause, and one user. */
async function sums(): Promise<{ readonly anybody: number; readonly user: number }> {
  const all = await lines()
  const sum = (isOfUser: boolean): number =>
    all
      .filter(({ what }) => what.startsWith('one user') === isOfUser)
      .reduce((total, { mebibytes }) => total + mebibytes, 0)
  return { anybody: sum(false), user: sum(true) }
}

test('the documented sums are those of the shipped configuration', async () => {
  const configuration = await shippedConfiguration()
  const documented = (await lines()).filter(({ number }) => number !== '')
  expect(documented).toHaveLength(6)
  const shipped = documented.map(({ field, number, each }) => {
    const value = field === '' ? Number(number) : valueOf(configuration, field)
    const [size = '', unit = ''] = each.split(' ')
    const bytes = Number(number) * Number(size) * (BYTES[unit] ?? NaN)
    return { field, value, mebibytes: Math.ceil(bytes / 1_048_576) }
  })
  expect(
    documented.map(({ field, number, mebibytes }) => ({ field, value: Number(number), mebibytes })),
  ).toEqual(shipped)
})

test('they fit into the memory limit of the Deployment and of the systemd unit', async () => {
  const { anybody, user } = await sums()
  const { resources } = podTemplate(await readManifests()).spec.containers[0]!
  const unit = await readFile(join(root, 'deploy/systemd/gatehouse@.service'), 'utf8')
  const limits = [
    Number(/^(\d+)Mi$/.exec(resources.limits.memory)?.[1]),
    Number(/^MemoryMax=(\d+)M$/m.exec(unit)?.[1]),
  ]
  for (const limit of limits) expect(anybody + USERS * user).toBeLessThanOrEqual(limit)
})

test('the text has the same sums as the table', async () => {
  const { anybody, user } = await sums()
  const text = await readFile(join(root, 'docs/operations.md'), 'utf8')
  expect(text).toContain(`a stalled reader of the audit log: ${anybody} MiB.`)
  expect(text).toContain(`headers of the maximum size, ${user} MiB.`)
})
