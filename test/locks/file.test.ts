import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, onTestFinished, test } from 'vitest'

import { ConfigError, formatProblem } from '../../src/config/problem.ts'
import { loadLockFile } from '../../src/locks/file.ts'

const HEAD = 'apiVersion: gatehouse/v1\nkind: Locks\n'

async function load(text: string) {
  const directory = await mkdtemp(join(tmpdir(), 'locks-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'locks.yaml')
  await writeFile(file, text)
  return loadLockFile(file)
}

async function problemsOf(text: string): Promise<string[]> {
  try {
    await load(text)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => {
      const [, line = ''] = /locks\.yaml(.*)/s.exec(formatProblem(problem)) ?? []
      return line
    })
  }
  return []
}

test('a file has locks of every target', async () => {
  const { locks } = await load(`${HEAD}locks:
  - { user: "oidc:ada", reason: Laptop stolen, until: "2026-12-31T18:00:00+01:00" }
  - { group: contractors, reason: audit }
  - { certificateSerial: "00:A1:B2", reason: lost }
  - { tokenID: j-1, reason: leaked }
  - { address: 2001:db8::/32, reason: scans }
`)
  expect(locks).toEqual([
    {
      ...{ target: 'user', name: 'oidc:ada', reason: 'Laptop stolen', actor: undefined },
      until: Date.UTC(2026, 11, 31, 17),
    },
    ...[
      ['group', 'contractors', 'audit'],
      ['certificateSerial', 'a1b2', 'lost'],
      ['tokenID', 'j-1', 'leaked'],
      ['address', '2001:db8::/32', 'scans'],
    ].map(([target, name, reason]) => ({
      ...{ target, name, reason, until: undefined, actor: undefined },
    })),
  ])
})

test('a file without locks is valid', async () => {
  expect((await load(`${HEAD}locks: []\n`)).locks).toEqual([])
})

test('all problems of a file are reported at once, with line and fix', async () => {
  const problems = await problemsOf(`${HEAD}locks:
  - { user: ada, group: dev, reason: x }
  - { reason: x }
  - { user: " ada", reason: x }
  - { user: ada }
  - { certificateSerial: twelve, reason: x }
  - { tokenID: JTI=j-1, reason: x }
  - { address: 192.0.2.0/33, reason: x }
  - { user: ada, reason: x, until: tomorrow }
  - { user: ada, reason: "two\\nlines" }
  - { user: ada, reason: x, colour: red }
`)
  expect(problems.map((problem) => problem.replace(/:\d+ /, ' '))).toMatchInlineSnapshot(`
    [
      ":4:5: locks[0]: must name one target (write one of user, group, certificateSerial, tokenID, address, and one lock per target)",
      ":5:5: locks[1]: must name one target (write one of user, group, certificateSerial, tokenID, address, and one lock per target)",
      ":6:7: locks[2].user: is a name that nobody has: it begins or ends with whitespace, or has control characters (must be the exact name)",
      ":7:5: locks[3].reason: is required (must be one line of at most 500 characters)",
      ":8:7: locks[4].certificateSerial: "twelve" is not a serial number (must be hexadecimal digits, as \`openssl x509 -serial\` prints them)",
      ":9:7: locks[5].tokenID: begins with "JTI=" (must be the exact value, without \`JTI=\`)",
      ":10:7: locks[6].address: "192.0.2.0/33" is not a network (must be an IP address or CIDR notation, such as 192.0.2.0/24)",
      ":11:29: locks[7].until: "tomorrow" is not a time (must be a time such as "2026-12-31T18:00:00Z")",
      ":12:18: locks[8].reason: has more than one line (must be one line of at most 500 characters)",
      ":13:29: locks[9].colour: unknown field (remove it; the fields are: user, group, certificateSerial, tokenID, address, reason, until)",
    ]
  `)
})

test('a file that is cut off, empty or of another kind is refused', async () => {
  for (const text of ['', HEAD, `${HEAD}locks:\n`, `${HEAD}locks:\n  - user: a\n`]) {
    expect(await problemsOf(text)).not.toEqual([])
  }
})

test('a lock that has ended is warned of', async () => {
  const { warnings } = await load(
    `${HEAD}locks:\n  - { user: ada, reason: x, until: "2026-01-01T00:00:00Z" }\n`,
  )
  expect(warnings(Date.UTC(2025, 11, 31))).toEqual([])
  expect(warnings(Date.UTC(2026, 0, 1))).toMatchObject([
    { line: 4, message: 'the lock of user "ada" has ended' },
  ])
})
