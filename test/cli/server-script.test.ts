import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'

import { packCodeCache } from '../../src/cli/code-cache.ts'
import { loadServerScript, SERVER_CODE, SERVER_SCRIPT } from '../../src/cli/server-script.ts'

const TEXT = `(function (exports, require) { 'use strict';
exports.runServe = () => require('node:path').sep + '\\u00e9'
})`

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-script-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, SERVER_SCRIPT), TEXT)
})

/** Runs the function of the script, as the build does before it makes the code cache. */
function called(): ReturnType<typeof loadServerScript> {
  const loaded = loadServerScript(folder)
  const { runServe } = loaded.commands as unknown as { runServe: () => string }
  expect(runServe()).toBe('/é')
  return loaded
}

async function writeCodeCache(): Promise<void> {
  const { text, script } = called()
  await writeFile(join(folder, SERVER_CODE), packCodeCache(text, script.createCachedData()))
}

test('runs the script without a code cache', () => {
  expect(called().script.cachedDataRejected).toBeUndefined()
})

test('uses the code cache of the script', async () => {
  await writeCodeCache()
  expect(called().script.cachedDataRejected).toBe(false)
})

test('ignores the code cache of a script that was changed and has the same length', async () => {
  await writeCodeCache()
  await writeFile(join(folder, SERVER_SCRIPT), TEXT.replace('.sep +', '.sep+ '))
  expect(called().script.cachedDataRejected).toBeUndefined()
})

test('ignores a code cache that is damaged at any place', async () => {
  await writeCodeCache()
  const file = join(folder, SERVER_CODE)
  const whole = await readFile(file)
  for (let at = 0; at < whole.length; at += 1) {
    const damaged = Buffer.from(whole)
    damaged.writeUInt8(whole.readUInt8(at) ^ 1, at)
    await writeFile(file, damaged)
    expect(called().script.cachedDataRejected).toBeUndefined()
  }
  for (const length of [0, 10, whole.length - 1]) {
    await writeFile(file, whole.subarray(0, length))
    expect(called().script.cachedDataRejected).toBeUndefined()
  }
})

test('compiles the script where V8 does not take the code', async () => {
  const code = packCodeCache(Buffer.from(TEXT), Buffer.alloc(1_000))
  await writeFile(join(folder, SERVER_CODE), code)
  expect(called().script.cachedDataRejected).toBe(true)
})
