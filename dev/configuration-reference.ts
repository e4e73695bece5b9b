/** docs/configuration.md, made from the schemas that check the files. */
import { stringify } from 'yaml'
import { z } from 'zod'

import { rulesSchema } from '../src/authorization/rules/schema.ts'
import { fileUseOf } from '../src/config/fields.ts'
import { configurationSchema } from '../src/config/schema.ts'
import {
  descriptionOf,
  firstOfLayers,
  ITEM,
  members,
  typeForm,
  unwrap,
  walkSchema,
} from '../src/config/schema-walk.ts'

/** Columns: the page is read in terminals as well. */
const WIDTH = 100

const INTRODUCTION = `<!-- Written by "npm run schema" from src/config/schema and src/authorization/rules/schema.ts. -->

# Configuration

\`gatehouse serve\` and \`gatehouse validate\` take the path of a GatehouseConfiguration with \`--config\`. It is a YAML file, usually named \`gatehouse.yaml\`, with the blocks below. Every field but the required ones can be left out. [config/gatehouse.yaml](../config/gatehouse.yaml) is an annotated example with every field, and [config/schema](../config/schema) has JSON Schemas for editors.

An unknown field, a value of the wrong type or a missing file is an error, and so is a file that is not a regular file or is larger than 16 MiB. Gatehouse reports all errors at once, each with its line and a fix, and does not start.`

const RELOADS = `The file \`gatehouse.yaml\` is read only at the start: a change takes effect after a restart. The files that it names are read again when their content changes, within two seconds and without a restart. If the new content is not valid, the last good version stays in effect, and the log, \`gatehouse_config_last_reload_successful\` and \`/readyz?verbose\` report it.

The log and the metrics have these names for what is reloaded:`

const CREDENTIAL_FILES = `\`upstream credential\` includes the files that the kubeconfig names and, with \`inCluster: true\`, the token and the CA certificate of the service account.`

const RULES = `The file that \`authorization.rulesFile\` names, with \`kind: AccessRules\`. [config/rules.yaml](../config/rules.yaml) is an annotated example that explains how rules are matched.`

/** The whole page, not yet formatted by prettier. */
export function configurationReference(): string {
  const blocks = members(configurationSchema).filter(([, schema]) => isBlock(schema))
  const values = members(configurationSchema).filter(([, schema]) => !isBlock(schema))
  return [
    ...paragraphs(INTRODUCTION),
    fieldList(values),
    '## When a file is read again',
    ...paragraphs(RELOADS),
    reloadList(),
    ...paragraphs(CREDENTIAL_FILES),
    ...blocks.flatMap(([name, schema]) => section([name], schema, 2)),
    '## AccessRules',
    ...paragraphs(RULES),
    ...content([], rulesSchema, 2),
  ].join('\n\n')
}

/** The file fields by what is reloaded when they change, from the marks of the schema. */
export function reloadedFiles(): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, string[]>()
  walkSchema(configurationSchema, (path, schema) => {
    const use = fileUseOf(schema)
    if (use?.use !== 'read') return
    files.set(use.reload, [...(files.get(use.reload) ?? []), nameOf(path)])
  })
  return files
}

function reloadList(): string {
  return [...reloadedFiles()]
    .map(([what, fields]) => item(`\`${what}\`: ${fields.map(code).join(', ')}`))
    .join('\n')
}

function section(path: readonly string[], schema: z.ZodType, level: number): string[] {
  const { meaning, form } = descriptionOf(schema)
  const sentences = [meaning, form].filter((text) => text !== undefined)
  const described = sentences.map((text) => sentence(capital(prose(text))))
  return [
    `${'#'.repeat(level)} ${nameOf(path)}`,
    ...paragraphs([...described, blockPresence(schema)].join(' ').trim()),
    ...content(path, schema, level),
  ]
}

/** Nothing for a block whose fields all have defaults. */
function blockPresence(schema: z.ZodType): string {
  if (schema instanceof z.ZodOptional) return 'This block is optional.'
  return schema instanceof z.ZodObject ? 'This block is required.' : ''
}

function content(path: readonly string[], schema: z.ZodType, level: number): string[] {
  const entries = members(schema).map(([name, member]) => [[...path, name], member] as const)
  const values = entries.filter(([, member]) => !isBlock(member))
  return [
    fieldList(values.map(([at, member]) => [nameOf(at), member])),
    ...example(path, schema),
    ...entries.flatMap(([at, member]) => {
      if (isBlock(member)) return section(at, member, Math.min(level + 1, 4))
      const items = members(member).find(([name]) => name === ITEM)?.[1]
      if (items === undefined || !isBlock(items)) return []
      return [
        `${'#'.repeat(Math.min(level + 1, 4))} ${nameOf([...at, ITEM])}`,
        ...content([...at, ITEM], items, level + 1),
      ]
    }),
  ].filter((part) => part !== '')
}

function isBlock(schema: z.ZodType): boolean {
  return unwrap(schema) instanceof z.ZodObject
}

function fieldList(fields: readonly (readonly [name: string, schema: z.ZodType])[]): string {
  return (
    fields
      // Fields of any type are known only to be refused.
      .filter(([, schema]) => !(unwrap(schema) instanceof z.ZodUnknown))
      .map(([name, schema]) => field(name, schema))
      .join('\n')
  )
}

/** What the field means and, on lines of their own, how it is written. */
function field(name: string, schema: z.ZodType): string {
  const { meaning } = descriptionOf(schema)
  const form = writtenForm(schema)
  const use = fileUseOf(schema)
  const facts = [
    sentence(form),
    presence(schema),
    ...(use?.use === 'read' ? ['Read again when the file changes.'] : []),
  ].join(' ')
  // A description may be no more than the form.
  if (meaning === undefined || meaning === valueNames(schema)[0]) {
    return item(`${code(name)}: ${facts}`)
  }
  const first = item(`${code(name)}: ${sentence(prose(meaning))}`)
  return `${first}\n${indent(wrap(facts, WIDTH - 2))}${exampleOf(name, schema)}`
}

function writtenForm(schema: z.ZodType): string {
  const values = valueNames(schema).map(code)
  if (values.length > 2) return `One of ${values.join(', ')}`
  if (values.length > 0) return values.join(' or ')
  const { form } = descriptionOf(schema)
  return capital(prose(form?.replace(/^must be /, '') ?? typeForm(schema) ?? 'any value'))
}

/** The only values that there are; none when there are others. */
function valueNames(schema: z.ZodType): readonly string[] {
  const bare = unwrap(schema)
  if (bare instanceof z.ZodBoolean) return ['true', 'false']
  if (bare instanceof z.ZodEnum) return bare.options.map(String)
  return bare instanceof z.ZodLiteral ? [...bare.values].map(String) : []
}

function presence(schema: z.ZodType): string {
  const value = defaultOf(schema)
  if (value !== undefined) return `Default: ${code(value)}.`
  return schema instanceof z.ZodOptional ? 'Optional.' : 'Required.'
}

function defaultOf(schema: z.ZodType): string | undefined {
  const value = firstOfLayers(schema, (layer) =>
    layer instanceof z.ZodDefault ? { default: layer.def.defaultValue } : undefined,
  )
  if (value === undefined) return undefined
  const isDuration = unwrap(schema) instanceof z.ZodString && typeof value.default === 'number'
  return isDuration
    ? durationText(value.default as number)
    : JSON.stringify(value.default).replace(/^"(.+)"$/, '$1')
}

/** As an administrator writes it: `90s`, `500ms`. */
function durationText(milliseconds: number): string {
  return milliseconds % 1_000 === 0 ? `${milliseconds / 1_000}s` : `${milliseconds}ms`
}

function examplesOf(schema: z.ZodType): readonly unknown[] {
  return firstOfLayers(schema, (layer) => layer.meta()?.['examples'] as unknown[] | undefined) ?? []
}

function exampleOf(name: string, schema: z.ZodType): string {
  const key = name.slice(name.lastIndexOf('.') + 1)
  return examplesOf(schema)
    .map((value) => `\n\n${indent(yaml({ [key]: value }))}\n`)
    .join('')
}

function example(path: readonly string[], schema: z.ZodType): string[] {
  return examplesOf(schema).map((value) => yaml({ [path.at(-1) ?? '']: value }))
}

function yaml(value: object): string {
  return `\`\`\`yaml\n${stringify(value, { flowCollectionPadding: true }).trimEnd()}\n\`\`\``
}

function nameOf(path: readonly string[]): string {
  return path.join('.').replaceAll(`.${ITEM}`, ITEM)
}

function code(text: string): string {
  return `\`${text}\``
}

function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`
}

/** A URL stays as it is. */
function capital(text: string): string {
  if (/^https?:/.test(text)) return text
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`
}

/** Quoted strings are code: Markdown would read a "*" in them otherwise. */
function prose(description: string): string {
  return description.replaceAll(/"[^"]*"/g, '`$&`')
}

function paragraphs(text: string): string[] {
  return text
    .split('\n\n')
    .map((paragraph) => (paragraph.startsWith('<!--') ? paragraph : wrap(paragraph, WIDTH)))
}

function item(text: string): string {
  return `- ${indent(wrap(text, WIDTH - 2)).trimStart()}`
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '  ')
}

/** Breaks at spaces, but not within `code`. */
function wrap(text: string, width: number): string {
  const words = text.match(/(?:`[^`]*`|\S)+/g) ?? []
  const lines: string[] = []
  for (const word of words) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.join('\n')
}
