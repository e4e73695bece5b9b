import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { loadRules } from '../../src/authorization/rules/load.ts'
import { createMetrics } from '../../src/metrics.ts'

const root = resolve(import.meta.dirname, '../..')
const docs = join(root, 'docs')

test('every metric that the documents name exists', async () => {
  const { registry } = createMetrics({ processMetrics: false })
  const known = new Set((await registry.getMetricsAsJSON()).map(({ name }) => name))
  const files = (await readdir(docs)).filter((name) => name.endsWith('.md'))
  const texts = await Promise.all(files.map((name) => readFile(join(docs, name), 'utf8')))
  const named = texts.flatMap((text) => text.match(/\bgatehouse_[a-z_]+\b/g) ?? [])
  expect(named.length).toBeGreaterThan(5)
  expect(named.filter((name) => !known.has(name.replace(/_(?:bucket|sum|count)$/, '')))).toEqual([])
})

test('operations.md names every metric, and every warning and error of the log', async () => {
  const text = await readFile(join(docs, 'operations.md'), 'utf8')
  const { registry } = createMetrics({ processMetrics: false })
  const metrics = (await registry.getMetricsAsJSON()).map(({ name }) => name)
  expect(metrics.filter((name) => !text.includes(`\`${name}`))).toEqual([])

  const folder = join(root, 'src')
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const sources = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  const logging = /\b(?:log\.(?:warn|error|fatal)|failed(?=[^\n]*,))\([^]*?'([^'\n]+)',?\s*\)/g
  const messages = sources.flatMap((source) =>
    [...source.matchAll(logging)].map(([, message]) => message),
  )
  expect(messages.length).toBeGreaterThan(15)
  expect(messages.filter((message) => !text.includes(`\`${message!}\``))).toEqual([])
})

test('the rule of everyday.md loads, in shadow and, with its test, enforced', async () => {
  const [[rule], [ruleTest]] = await yamlBlocks(join(docs, 'everyday.md'))
  const shipped = parse(await readFile(join(root, 'config/rules.yaml'), 'utf8')) as {
    rules: unknown[]
    tests: unknown[]
  }
  const { mode, ...enforced } = rule as { mode: string }
  expect(mode).toBe('shadow')
  const inShadow = { ...shipped, rules: [rule, ...shipped.rules] }
  expect((await loaded(inShadow)).warnings).toEqual([])
  const inForce = { ...shipped, rules: [enforced, ...shipped.rules], tests: [ruleTest] }
  expect((await loaded(inForce)).warnings).toEqual([])
  await expect(loaded({ ...inShadow, tests: [ruleTest] })).rejects.toThrow('the decision is allow')
})

async function loaded(rules: object): Promise<ReturnType<typeof loadRules>> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-docs-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'rules.yaml')
  await writeFile(file, stringify(rules))
  return loadRules(file)
}

/** The YAML code blocks of a document, each of which is a list. */
async function yamlBlocks(file: string): Promise<[[object], [object]]> {
  const blocks = (await readFile(file, 'utf8')).matchAll(/^```yaml\n(.*?)^```$/gms)
  return [...blocks].map(([, block = '']) => parse(block) as unknown) as [[object], [object]]
}
