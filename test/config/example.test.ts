/** config/gatehouse.yaml, whose comments promise every field, and the defaults. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'

import { configurationSchema } from '../../src/config/schema.ts'

const file = resolve(import.meta.dirname, '../../config/gatehouse.yaml')
const text = await readFile(file, 'utf8')
const example = parse(text) as Record<string, unknown>

/** What has no default: the kind of the document, names of files, and what is only there with one. */
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

test('every field shows its default, but for names of files', () => {
  expect(configurationSchema.parse(example)).toEqual(configurationSchema.parse(WITHOUT_DEFAULT))
})

test('the header names that are commented out are the defaults', () => {
  const block = /^ {4}# (requestheader:\n(?: {4}# .*\n)+)/m.exec(text)?.[1] ?? ''
  const { requestheader } = parse(block.replaceAll(/^ {4}# /gm, '')) as { requestheader: object }
  const { upstream } = configurationSchema.parse(WITHOUT_DEFAULT)
  expect(requestheader).toEqual(upstream.identity.requestheader)
})

test('every field is there, if only in a comment', () => {
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
