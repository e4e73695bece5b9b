import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { digestsOf, type FileDigests } from '../../src/config/digests.ts'
import { watchFiles, type Watcher } from '../../src/config/watch.ts'

let folder = ''
let watcher: Watcher | undefined
let reloads: string[]
let failed: string[]
let held: string[]
const at = (name: string): string => join(folder, name)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-watch-'))
  reloads = []
  failed = []
  held = []
})

afterEach(() => {
  watcher?.stop()
  vi.useRealTimers()
  rmSync(folder, { recursive: true })
})

function watch(
  files: () => readonly string[],
  reload: () => void = () => undefined,
  loaded?: FileDigests,
  check: () => void = () => undefined,
): Watcher {
  const effects = {
    onReloaded: (what: string) => reloads.push(what),
    onFailed: (what: string) => failed.push(what),
    onHeld: (_what: string, file: string) => held.push(file),
  }
  watcher = watchFiles(
    { watched: [{ what: 'rules', files, reload, check }], ...(loaded && { loaded }) },
    effects,
  )
  return watcher
}

test('a file that stays the same is not loaded again', () => {
  writeFileSync(at('a'), '1')
  watch(() => [at('a')]).poll()
  expect(reloads).toEqual([])
})

test('a file written in place, of the same length, is loaded again', () => {
  writeFileSync(at('a'), '1')
  const watching = watch(() => [at('a')])
  writeFileSync(at('a'), '2')
  watching.poll()
  watching.poll()
  expect(reloads).toEqual(['rules'])
})

test('a file replaced by rename is loaded again', () => {
  writeFileSync(at('a'), '1')
  const watching = watch(() => [at('a')])
  writeFileSync(at('b'), '2')
  renameSync(at('b'), at('a'))
  watching.poll()
  expect(reloads).toEqual(['rules'])
})

test('a symlink of a folder swapped, as the kubelet does, is noticed', () => {
  for (const version of ['v1', 'v2']) {
    mkdirSync(at(version))
    writeFileSync(at(`${version}/rules.yaml`), version)
  }
  symlinkSync('v1', at('..data'))
  symlinkSync('..data/rules.yaml', at('rules.yaml'))
  const watching = watch(() => [at('rules.yaml')])
  symlinkSync('v2', at('..tmp'))
  renameSync(at('..tmp'), at('..data'))
  watching.poll()
  expect(reloads).toEqual(['rules'])
})

test('a failed reload is remembered until one succeeds', () => {
  writeFileSync(at('a'), '1')
  let broken = true
  const watching = watch(
    () => [at('a')],
    () => {
      if (broken) throw new Error('no good')
    },
  )
  writeFileSync(at('a'), '22')
  watching.poll()
  expect([...watching.failures()]).toEqual([['rules', 'no good']])
  expect(failed).toEqual(['rules'])
  broken = false
  writeFileSync(at('a'), '333')
  watching.poll()
  expect([...watching.failures()]).toEqual([])
  expect(reloads).toEqual(['rules'])
})

test('a file that disappears is a failed reload when it cannot be loaded', () => {
  writeFileSync(at('a'), '1')
  const watching = watch(
    () => [at('a')],
    () => {
      throw new Error('gone')
    },
  )
  rmSync(at('a'))
  watching.poll()
  expect(failed).toEqual(['rules'])
})

test('a file that changed between loading and the first poll is loaded again', () => {
  writeFileSync(at('a'), '1')
  const loaded = digestsOf([at('a')])
  writeFileSync(at('a'), '2')
  const watching = watch(() => [at('a')], undefined, loaded)
  watching.poll()
  watching.poll()
  expect(reloads).toEqual(['rules'])
})

test('a FIFO in place of a file is a change, and does not stop the polls', () => {
  writeFileSync(at('a'), '1')
  const watching = watch(() => [at('a')])
  rmSync(at('a'))
  execFileSync('mkfifo', [at('a')])
  watching.poll()
  rmSync(at('a'))
  writeFileSync(at('a'), '2')
  watching.poll()
  expect(reloads).toEqual(['rules', 'rules'])
})

test('a failed reload of unchanged files is retried at growing intervals', () => {
  writeFileSync(at('a'), '1')
  let tries = 0
  const watching = watch(
    () => [at('a')],
    () => {
      tries += 1
      throw new Error('EMFILE')
    },
  )
  writeFileSync(at('a'), '2')
  const triedAt = Array.from({ length: 20 }, (_, i) => i).filter(() => {
    const before = tries
    watching.poll()
    return tries > before
  })
  expect(triedAt).toEqual([0, 1, 3, 7, 15])
  expect(failed).toEqual(['rules'])
})

test('a retry that succeeds is reported, and no retry follows it', () => {
  writeFileSync(at('a'), '1')
  let isPassing = true
  const watching = watch(
    () => [at('a')],
    () => {
      if (isPassing) throw new Error('EMFILE')
    },
  )
  writeFileSync(at('a'), '2')
  watching.poll()
  isPassing = false
  for (let polls = 0; polls < 5; polls++) watching.poll()
  expect({ failed, reloads }).toEqual({ failed: ['rules'], reloads: ['rules'] })
  expect([...watching.failures()]).toEqual([])
})

test('a file that is being written is loaded once two polls in a row find it unchanged', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  writeFileSync(at('a'), 'allow, deny')
  const loaded: string[] = []
  watch(
    () => [at('a')],
    () => void loaded.push(readFileSync(at('a'), 'utf8')),
  )
  for (const text of ['', 'allow all', 'allow all, deny']) {
    writeFileSync(at('a'), text)
    vi.advanceTimersByTime(1_000)
  }
  expect(loaded).toEqual([])
  vi.advanceTimersByTime(1_000)
  expect(loaded).toEqual(['allow all, deny'])
  vi.advanceTimersByTime(5_000)
  expect(loaded).toHaveLength(1)
})

test('a file that has its old content again at the second poll is not loaded again', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  writeFileSync(at('a'), '1')
  watch(() => [at('a')])
  writeFileSync(at('a'), '2')
  vi.advanceTimersByTime(1_000)
  writeFileSync(at('a'), '1')
  vi.advanceTimersByTime(3_000)
  expect(reloads).toEqual([])
})

test('files that keep changing are reported once as a failure, until they are loaded at last', () => {
  vi.useFakeTimers()
  writeFileSync(at('a'), 'first')
  const watching = watch(() => [at('a')])
  const pollWith = (content: string): void => {
    writeFileSync(at('a'), content)
    vi.advanceTimersByTime(1_000)
  }
  for (let i = 0; i < 29; i += 1) pollWith(`${i}`)
  expect(failed).toEqual([])
  for (let i = 29; i < 70; i += 1) pollWith(`${i}`)
  expect(failed).toEqual(['rules'])
  expect(watching.failures().get('rules')).toBe(
    'the files keep changing, and are loaded only after a second without a change',
  )
  expect(reloads).toEqual([])
  // The content in effect is loaded again: otherwise the failure would stay.
  for (let i = 0; i < 2; i += 1) pollWith('first')
  expect(reloads).toEqual(['rules'])
  expect([...watching.failures()]).toEqual([])
})

describe('a file that is only the beginning of the version in effect', () => {
  const WHOLE = 'allow\ndeny\ntests\n'
  const BEGINNING = 'allow\n'
  let loaded: string[]
  const pollWith = (content: string, seconds: number): void => {
    writeFileSync(at('a'), content)
    vi.advanceTimersByTime(seconds * 1_000)
  }

  beforeEach(() => {
    vi.useFakeTimers()
    writeFileSync(at('a'), WHOLE)
    loaded = []
  })

  const watchLoads = (check?: () => void): Watcher =>
    watch(
      () => [at('a')],
      () => void loaded.push(readFileSync(at('a'), 'utf8')),
      undefined,
      check,
    )

  test('is loaded only after 30 seconds without a change, and reported once before', () => {
    watchLoads()
    pollWith(BEGINNING, 31)
    expect({ loaded, held }).toEqual({ loaded: [], held: [at('a')] })
    vi.advanceTimersByTime(2_000)
    expect({ loaded, held }).toEqual({ loaded: [BEGINNING], held: [at('a')] })
    vi.advanceTimersByTime(60_000)
    expect(loaded).toHaveLength(1)
  })

  test('is never loaded if the rest follows', () => {
    watchLoads()
    pollWith(BEGINNING, 20)
    pollWith(WHOLE, 60)
    expect({ loaded, held }).toEqual({ loaded: [], held: [at('a')] })
  })

  test('waits again after a change to another beginning', () => {
    watchLoads()
    pollWith(BEGINNING, 20)
    pollWith('allow\ndeny\n', 25)
    expect({ loaded, held }).toEqual({ loaded: [], held: [at('a'), at('a')] })
    vi.advanceTimersByTime(10_000)
    expect(loaded).toEqual(['allow\ndeny\n'])
  })

  test('does not delay another version', () => {
    watchLoads()
    pollWith(BEGINNING, 20)
    pollWith(`${BEGINNING}# and no more\n`, 3)
    expect(loaded).toEqual([`${BEGINNING}# and no more\n`])
  })

  test('is not loaded by a poll that does not wait for a second one', () => {
    const watching = watchLoads()
    writeFileSync(at('a'), BEGINNING)
    watching.poll()
    watching.poll()
    expect({ loaded, held }).toEqual({ loaded: [], held: [at('a')] })
  })

  test('is compared with what was loaded last, not with what was there at the start', () => {
    watchLoads()
    pollWith('deny\nallow\n', 3)
    expect(held).toEqual([])
    pollWith('deny\n', 10)
    expect({ loaded, held }).toEqual({ loaded: ['deny\nallow\n'], held: [at('a')] })
  })

  test('is a failure without delay if it is not valid', () => {
    watch(
      () => [at('a')],
      () => {
        throw new Error('cut off')
      },
      undefined,
      () => {
        throw new Error('cut off')
      },
    )
    pollWith('al', 3)
    expect({ failed, held }).toEqual({ failed: ['rules'], held: [] })
  })
})
