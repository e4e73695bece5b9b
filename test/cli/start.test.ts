import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { command } from '../support/command.ts'
import { asNode } from '../support/older-node.ts'

const source = resolve(import.meta.dirname, '../../src/start.ts')
const packageJson = resolve(import.meta.dirname, '../../package.json')
let folder = ''

/** Only the entry point: the file that it imports is missing. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-start-'))
  await copyFile(source, join(folder, 'start.ts'))
  await copyFile(packageJson, join(folder, 'package.json'))
})

afterAll(() => rm(folder, { recursive: true }))

const start = (version: string, ...args: string[]) =>
  command(process.execPath, [join(folder, 'start.ts'), ...args], {
    env: { NODE_OPTIONS: asNode(version) },
  })

test.for(['serve', 'validate'])('%s needs Node.js 26, whatever else is read', async (name) => {
  expect(await start('25.9.0', name)).toEqual({
    code: 2,
    stdout: '',
    stderr: `gatehouse ${name} requires Node.js 26 or newer; this is v25.9.0\n`,
  })
})

test.for(['20.20.2', '22.18.0'])('users need Node.js 22.19, and not %s', async (version) => {
  expect(await start(version, 'login')).toEqual({
    code: 2,
    stdout: '',
    stderr: `gatehouse requires Node.js 22.19 or newer; this is v${version}\n`,
  })
})

test.for([
  ['22.19.0', 'login', 'main.ts'],
  ['27.0.0', 'serve', 'main.ts'],
  ['27.0.0', 'serve --config gatehouse.yaml', 'cli/server-commands.ts'],
  ['27.0.0', 'serve --config=gatehouse.yaml', 'cli/server-commands.ts'],
  ['27.0.0', 'serve --config', 'main.ts'],
  ['27.0.0', 'serve --config=', 'main.ts'],
  ['27.0.0', 'serve --config --help', 'main.ts'],
  ['27.0.0', 'serve --config gatehouse.yaml --help', 'main.ts'],
  ['27.0.0', 'serve --conf gatehouse.yaml', 'main.ts'],
  ['27.0.0', 'serve --config - ', 'main.ts'],
  ['27.0.0', 'serve --config -- gatehouse.yaml', 'main.ts'],
  ['27.0.0', 'serve --config=-x', 'main.ts'],
  ['27.0.0', 'serve --config gatehouse.yaml --', 'main.ts'],
  ['27.0.0', 'serve --config gatehouse.yaml more', 'main.ts'],
  ['27.0.0', 'serve --config gatehouse.yaml --config other.yaml', 'main.ts'],
  ['27.0.0', 'serve -- --config gatehouse.yaml', 'main.ts'],
  ['27.0.0', 'serve more --config gatehouse.yaml', 'main.ts'],
  ['27.0.0', 'serve -c gatehouse.yaml', 'main.ts'],
  ['27.0.0', '--config gatehouse.yaml serve', 'main.ts'],
  ['27.0.0', 'serve gatehouse.yaml', 'main.ts'],
  ['27.0.0', 'validate --config gatehouse.yaml', 'main.ts'],
  ['22.19.0', 'get-token', 'get-token.ts'],
])('Node.js %s goes on with %s to %s', async ([version = '', words = '', file]) => {
  const { stderr } = await start(version, ...words.split(' '))
  expect(stderr).toContain(file)
})

/** Only what `start.ts` understands itself; all else goes to the command line. */
describe('serve does the same with and without the command line:', () => {
  const short = resolve(import.meta.dirname, '../../src/start.ts')
  const long = resolve(import.meta.dirname, '../../src/main.ts')
  let work = ''

  beforeAll(async () => {
    work = await mkdtemp(join(tmpdir(), 'gatehouse-serve-'))
    await writeFile(join(work, 'bad.yaml'), 'kind: Nothing\n')
    await mkdir(join(work, 'package'))
  })

  afterAll(() => rm(work, { recursive: true }))

  const run = (script: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const cwd = 'INIT_CWD' in env ? join(work, 'package') : work
    return command(process.execPath, [script, ...args], { cwd, env: { ...process.env, ...env } })
  }

  test.for([
    [['serve', '--config', 'bad.yaml']],
    [['serve', '--config=bad.yaml']],
    [['serve', '--config', 'none.yaml']],
    [['serve', '--config', ' ']],
    [['serve', '--config', 'a\nb']],
    [['serve', '--config==bad.yaml']],
  ])('%j', async ([args = []]) => {
    const [one, other] = await Promise.all([run(short, args), run(long, args)])
    expect(one).toEqual(other)
    expect([0, 1, 2]).toContain(one.code)
    expect(one.stdout + one.stderr).not.toBe('')
  })

  test('a relative path as npm passes it', async () => {
    const env = {
      INIT_CWD: work,
      npm_package_json: join(work, 'package/package.json'),
      npm_lifecycle_event: 'start',
      npm_lifecycle_script: 'gatehouse serve',
    }
    const args = ['serve', '--config', 'bad.yaml']
    const [one, other] = await Promise.all([run(short, args, env), run(long, args, env)])
    expect(one).toEqual(other)
    expect(one.stderr).toContain(join(work, 'bad.yaml'))
  })
})
