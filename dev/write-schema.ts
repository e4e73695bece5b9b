/**
 * JSON Schemas for editors, made from the very schemas that check the files: `npm run schema` writes
 * them, `npm run schema:check` fails when they are not current.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { format } from 'prettier'
import { z } from 'zod'

import { rulesSchema } from '../src/authorization/rules/schema.ts'
import { configurationSchema } from '../src/config/schema.ts'

const folder = resolve(import.meta.dirname, '../config/schema')

const schemas = [
  { file: 'gatehouse.schema.json', title: 'GatehouseConfiguration', schema: configurationSchema },
  { file: 'rules.schema.json', title: 'AccessRules', schema: rulesSchema },
]

const isCheck = process.argv.includes('--check')
let stale = 0

for (const { file, title, schema } of schemas) {
  const path = resolve(folder, file)
  const json = { title, ...z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }) }
  const text = await format(JSON.stringify(json), { parser: 'json', printWidth: 100 })
  if (!isCheck) writeFileSync(path, text)
  else if (read(path) !== text) {
    console.error(`config/schema/${file} is not current: run npm run schema`)
    stale += 1
  }
}
process.exitCode = stale === 0 ? 0 : 1

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
