/** What must hold for every field of the real schema. */
import { expect, test } from 'vitest'
import { z } from 'zod'

import { fileUseOf } from '../../src/config/fields.ts'
import { configurationSchema } from '../../src/config/schema.ts'
import { descriptionOf, firstOfLayers, unwrap, walkSchema } from '../../src/config/schema-walk.ts'

const fields: { readonly name: string; readonly schema: z.ZodType }[] = []
walkSchema(configurationSchema, (path, schema) => fields.push({ name: path.join('.'), schema }))
const leaves = fields.filter(({ schema }) => !(unwrap(schema) instanceof z.ZodObject))

test('every string field that is named like a file is marked as one', () => {
  const files = fields.filter(
    ({ name, schema }) =>
      /(?:File|path|kubeconfig)$/i.test(name) && unwrap(schema) instanceof z.ZodString,
  )
  expect(files.length).toBeGreaterThan(8)
  expect(files.filter(({ schema }) => fileUseOf(schema) === undefined)).toEqual([])
})

test('every field that takes a file path is marked as a file', () => {
  const paths = fields.filter(({ schema }) => descriptionOf(schema).form?.includes('path') === true)
  const marked = fields.filter(({ schema }) => fileUseOf(schema) !== undefined)
  expect(marked).toEqual(paths)
})

test('every field and every block is described, and every value has its form', () => {
  const described = fields.filter(({ name }) => name !== '' && !name.endsWith('[]'))
  expect(described.length).toBeGreaterThan(70)
  const bare = described.filter(({ schema }) => descriptionOf(schema).meaning === undefined)
  expect(bare.map(({ name }) => name)).toEqual([])
  const formless = leaves.filter(
    ({ name, schema }) =>
      !name.endsWith('[]') && descriptionOf(schema).form?.startsWith('must ') !== true,
  )
  expect(formless.map(({ name }) => name)).toEqual([])
})

test('every example is valid', () => {
  const examples = fields.flatMap(({ schema }) =>
    (
      firstOfLayers(schema, (layer) => layer.meta()?.['examples'] as unknown[] | undefined) ?? []
    ).map((example) => ({ schema, example })),
  )
  expect(examples.length).toBeGreaterThan(2)
  for (const { schema, example } of examples) expect(schema.parse(example)).toBeDefined()
})

test('a schema whose fields cannot be walked is an error, so that no file in it is missed', () => {
  const schema = z.strictObject({ files: z.record(z.string(), z.string()) })
  expect(() => walkSchema(schema, () => undefined)).toThrow(
    'schema of kind record at files: its fields cannot be walked',
  )
})
