import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { expect, test } from 'vitest'

import { copyShippedRules } from '../../dev/first-run/rules.ts'

test('the copied rules name their schema by a path that works from any folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-rules-'))
  const file = join(folder, 'rules.yaml')
  await copyShippedRules(file)
  const text = await readFile(file, 'utf8')
  await rm(folder, { recursive: true })
  const named = /^# yaml-language-server: \$schema=(.+)$/m.exec(text)?.[1] ?? ''
  const schema = await readFile(resolve(folder, named), 'utf8')
  expect(JSON.parse(schema)).toMatchObject({ properties: { kind: { const: 'AccessRules' } } })
})
