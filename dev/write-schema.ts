/**
 * What is generated from the schemas that check the files: JSON Schemas for editors, and
 * docs/configuration.md. `npm run schema` writes it; `npm run schema:check` fails when it is not current.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'

import { format } from 'prettier'
import { z } from 'zod'

import { rulesSchema } from '../src/authorization/rules/schema.ts'
import { configurationSchema } from '../src/config/schema.ts'
import { locksSchema } from '../src/locks/schema.ts'
import { configurationReference } from './configuration-reference.ts'

const root = resolve(import.meta.dirname, '..')

const generated = [
  {
    file: 'config/schema/gatehouse.schema.json',
    text: jsonSchema('GatehouseConfiguration', configurationSchema),
  },
  { file: 'config/schema/rules.schema.json', text: jsonSchema('AccessRules', rulesSchema) },
  { file: 'config/schema/locks.schema.json', text: jsonSchema('Locks', locksSchema) },
  { file: 'docs/configuration.md', text: configurationReference() },
]

const isCheck = process.argv.includes('--check')
let stale = 0

for (const { file, text } of generated) {
  const path = resolve(root, file)
  const formatted = await format(text, {
    filepath: path,
    ...{ printWidth: 100, singleQuote: true, semi: false },
  })
  if (!isCheck) writeFileSync(path, formatted)
  else if (read(path) !== formatted) {
    console.error(`${file} is not current: run npm run schema`)
    stale += 1
  }
}
process.exitCode = stale === 0 ? 0 : 1

function jsonSchema(title: string, schema: z.ZodType): string {
  return JSON.stringify({
    title,
    ...z.toJSONSchema(schema, { io: 'input', target: 'draft-2020-12' }),
  })
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
