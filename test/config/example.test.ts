/** config/gatehouse.yaml has every field with its default, as its comments promise. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

import { configurationSchema } from '../../src/config/schema.ts'
import { LOCK_TARGETS } from '../../src/locks/lock.ts'
import { locksSchema } from '../../src/locks/schema.ts'

const file = resolve(import.meta.dirname, '../../config/gatehouse.yaml')
const text = await readFile(file, 'utf8')
const example = parse(text) as Record<string, unknown>

/** Fields without a default: apiVersion and kind, files, and blocks that are optional. */
const WITHOUT_DEFAULT = {
  apiVersion: 'gatehouse/v1',
  kind: 'GatehouseConfiguration',
  listener: { tls: { certFile: 'serving.crt', privateKeyFile: 'serving.key' } },
  authentication: {
    configFile: 'authentication.yaml',
    x509: { clientCAFile: 'client-ca.crt' },
  },
  authorization: { rulesFile: 'rules.yaml' },
  audit: { file: { path: 'audit.log' } },
  upstream: { kubeconfig: 'upstream.kubeconfig' },
}

test('every field except for files shows its default', () => {
  expect(configurationSchema.parse(example)).toEqual(configurationSchema.parse(WITHOUT_DEFAULT))
})

test('the locks in comments are valid, one of each target that administrators set', async () => {
  const locks = await readFile(resolve(import.meta.dirname, '../../config/locks.yaml'), 'utf8')
  expect(parse(locks)).toMatchObject({ locks: [] })
  const shown = locks.replace('locks: []', 'locks:').replaceAll(/^#(?= {2})/gm, '')
  const { locks: examples } = locksSchema.parse(parse(shown))
  const targets = examples.flatMap((lock) => LOCK_TARGETS.filter((target) => target in lock))
  expect([...targets, 'disabledAccount']).toEqual(LOCK_TARGETS)
})

test('the commented-out header names are the defaults', () => {
  const block = /^ {4}# (requestheader:\n(?: {4}# .*\n)+)/m.exec(text)?.[1] ?? ''
  const { requestheader } = parse(block.replaceAll(/^ {4}# /gm, '')) as { requestheader: object }
  const { upstream } = configurationSchema.parse(WITHOUT_DEFAULT)
  expect(requestheader).toEqual(upstream.identity.requestheader)
})

test('every field is in the file, at least in a comment', () => {
  const schema = z.toJSONSchema(configurationSchema, { io: 'input' }) as JsonSchema
  const missing = fieldNames(schema).filter((name) => !new RegExp(`\\b${name}:`).test(text))
  expect(missing).toEqual([])
})

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
}

function fieldNames(schema: JsonSchema): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, member]) => [
    name,
    ...fieldNames(member),
  ])
  return schema.items === undefined ? own : [...own, ...fieldNames(schema.items)]
}
