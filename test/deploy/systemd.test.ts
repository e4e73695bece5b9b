/** deploy/systemd/gatehouse@.service, as far as it can be checked without a running systemd. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'

import { configurationSchema } from '../../src/config/schema.ts'
import { command } from '../support/command.ts'

const root = resolve(import.meta.dirname, '../..')
const unit = await readFile(join(root, 'deploy/systemd/gatehouse@.service'), 'utf8')
const hasSystemd = spawnSync('systemd-analyze', ['--version']).status === 0

/** The values of a setting, in order. */
function values(name: string): string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

/** The exposure that `systemd-analyze security` may give, in tenths: 0 is none, 100 is everything. */
const MAX_EXPOSURE = 15

async function unitFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gatehouse-systemd-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const file = join(folder, 'gatehouse@.service')
  // The Node of the tests is elsewhere.
  await writeFile(file, unit.replace('/usr/local/bin/node', process.execPath))
  return file
}

test('starts what the package installs, without the debugger, with the configuration of the instance', async () => {
  const { bin, name } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    name: string
    bin: { gatehouse: string }
  }
  expect(values('ExecStart')).toEqual([
    '/usr/local/bin/node --disable-sigusr1 --min-semi-space-size=4 --max-semi-space-size=8 ' +
      `/usr/local/lib/node_modules/${name}/${bin.gatehouse} serve --config /etc/gatehouse/%i.yaml`,
  ])
  expect(values('Environment')).toEqual(['NODE_ENV=production MALLOC_ARENA_MAX=1'])
})

test('gives each instance an audit folder of its own, and nothing else to write to', () => {
  expect(values('LogsDirectory')).toEqual(['gatehouse/%i'])
  expect(values('ProtectSystem')).toEqual(['strict'])
  expect(unit).not.toMatch(/^(?:ReadWritePaths|StateDirectory|CacheDirectory|RuntimeDirectory)=/m)
})

test('waits for the shutdown of the shipped configuration', async () => {
  const text = await readFile(join(root, 'config/gatehouse.yaml'), 'utf8')
  const { delay, gracePeriod } = configurationSchema.parse(parse(text)).shutdown
  const [stop = ''] = values('TimeoutStopSec')
  expect(Number.parseInt(stop, 10) * 1_000).toBeGreaterThan(delay + gracePeriod)
})

test('does not start a configuration that is not valid again and again', () => {
  expect(values('RestartPreventExitStatus')).toEqual(['2'])
})

test.skipIf(!hasSystemd)('is accepted by systemd-analyze verify', async () => {
  const verified = await command('systemd-analyze', ['verify', await unitFile()])
  expect(verified).toEqual({ code: 0, stdout: '', stderr: '' })
})

test.skipIf(!hasSystemd)('has a low exposure by systemd-analyze security', async () => {
  const args = ['security', '--offline=true', `--threshold=${MAX_EXPOSURE}`, await unitFile()]
  const { code, stdout } = await command('systemd-analyze', args)
  expect(stdout).toContain('Overall exposure level')
  expect(code).toBe(0)
})
