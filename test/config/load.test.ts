import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { readConfiguration } from '../../src/config/load.ts'
import { formatProblem } from '../../src/config/problem.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-config-'))
  for (const name of ['tls.crt', 'tls.key', 'rules.yaml', 'ca.crt', 'up.kubeconfig']) {
    writeFileSync(at(name), '')
  }
})

afterEach(() => rmSync(folder, { recursive: true }))

const GOOD = `
apiVersion: gatehouse/v1
kind: GatehouseConfiguration
listener:
  tls: { certFile: tls.crt, privateKeyFile: tls.key }
authentication:
  x509: { clientCAFile: ca.crt }
authorization: { rulesFile: rules.yaml }
audit: { file: { path: audit.log } }
upstream: { kubeconfig: up.kubeconfig }
`

function read(text: string) {
  writeFileSync(at('gatehouse.yaml'), text)
  return readConfiguration(at('gatehouse.yaml'))
}

/** As an operator reads them, without the folder. */
function problems(text: string): string[] {
  return read(text).problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ''))
}

test('the least configuration has every default, durations in milliseconds, absolute paths', () => {
  const { configuration, problems: found } = read(GOOD)
  expect(found).toEqual([])
  expect(configuration?.listener).toMatchObject({
    address: '0.0.0.0',
    port: 8443,
    tls: { certFile: at('tls.crt'), minVersion: 'VersionTLS12' },
    limits: { headerTimeout: 10_000, idleTimeout: 90_000 },
  })
  expect(configuration?.audit).toMatchObject({
    onFailure: 'refuse',
    file: { path: at('audit.log'), maxSizeMegabytes: 100 },
  })
  expect(configuration?.limits.user.list).toEqual({ requestsPerSecond: 100, burst: 600 })
  expect(configuration?.upstream.identity.mode).toBe('impersonation')
})

test('compound durations add up', () => {
  const { configuration } = read(`${GOOD}shutdown: { delay: 1m30s, gracePeriod: 500ms }\n`)
  expect(configuration?.shutdown).toEqual({ delay: 90_000, gracePeriod: 500 })
})

describe('problems name file, line, field and fix', () => {
  const cases = [
    {
      name: 'an unknown field, with the one that was meant',
      text: GOOD.replace('audit:', 'limts: {}\naudit:'),
      expected: ['gatehouse.yaml:9:1: limts: unknown field (did you mean limits?)'],
    },
    {
      name: 'a duplicate key',
      text: `${GOOD}log: { level: info }\nlog: { level: warn }\n`,
      expected: ['gatehouse.yaml:12:1: the same key stands twice (keep one of them)'],
    },
    {
      name: 'a wrong type',
      text: `${GOOD}probes: { port: "many" }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.port: "many": expected number, received string ' +
          '(a port, 0 for any free one)',
      ],
    },
    {
      name: 'a number that is too big',
      text: `${GOOD}probes: { port: 84430 }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.port: 84430: must be at most 65535 ' +
          '(a port, 0 for any free one)',
      ],
    },
    {
      name: 'a number that must be above another',
      text: `${GOOD}limits: { address: { requestsPerSecond: 0 } }\n`,
      expected: [expect.stringContaining('0: must be more than 0 (')],
    },
    {
      name: 'no address, with what stands there',
      text: `${GOOD}probes: { address: localhost }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.address: "localhost" is no IP address ' +
          '(an IP address to bind, such as 127.0.0.1, 0.0.0.0 or ::)',
      ],
    },
    {
      name: 'no duration',
      text: `${GOOD}shutdown: { delay: 5 seconds }\n`,
      expected: [
        'gatehouse.yaml:11:13: shutdown.delay: "5 seconds": is no duration ' +
          '(a duration such as "500ms", "30s", "1h30m")',
      ],
    },
    {
      name: 'a missing file',
      text: GOOD.replace('clientCAFile: ca.crt', 'clientCAFile: users.crt'),
      expected: [
        'gatehouse.yaml:7:11: authentication.x509.clientCAFile: users.crt does not exist ' +
          '(create it, or correct the path)',
      ],
    },
    {
      name: 'a folder in place of a file',
      text: GOOD.replace('rulesFile: rules.yaml', 'rulesFile: .'),
      expected: [expect.stringContaining('is a directory')],
    },
    {
      name: 'an audit file in a folder that is not there',
      text: GOOD.replace('path: audit.log', 'path: log/audit.log'),
      expected: [
        'gatehouse.yaml:9:18: audit.file.path: the directory log does not exist ' +
          '(create it, or correct the path)',
      ],
    },
    {
      name: 'nobody who could sign in',
      text: GOOD.replace('  x509: { clientCAFile: ca.crt }', '  tokenCacheSize: 5'),
      expected: [
        'gatehouse.yaml:6:1: authentication: nobody could sign in (set x509, configFile or both)',
      ],
    },
    {
      name: 'no sink',
      text: GOOD.replace('{ file: { path: audit.log } }', '{ stdout: { enabled: false } }'),
      expected: [
        'gatehouse.yaml:9:1: audit: there is no sink (set file, or stdout: { enabled: true })',
      ],
    },
    {
      name: 'two upstreams',
      text: GOOD.replace('kubeconfig: up.kubeconfig', 'kubeconfig: up.kubeconfig, inCluster: true'),
      expected: [
        'gatehouse.yaml:10:40: upstream.inCluster: conflicts with kubeconfig (keep one of the two)',
      ],
    },
    {
      name: 'no upstream',
      text: GOOD.replace('{ kubeconfig: up.kubeconfig }', '{}'),
      expected: [
        'gatehouse.yaml:10:1: upstream: names no API server (set kubeconfig, or inCluster: true)',
      ],
    },
    {
      name: 'header names of a mode that is not on',
      text: GOOD.replace(
        '{ kubeconfig: up.kubeconfig }',
        '{ kubeconfig: up.kubeconfig, identity: { requestheader: { uidHeader: X-Uid } } }',
      ),
      expected: [expect.stringContaining('conflicts with the mode impersonation')],
    },
    {
      name: 'one port for two listeners',
      text: `${GOOD}probes: { port: 8443 }\n`,
      expected: ['gatehouse.yaml:11:11: probes.port: is the port of the listener (choose another)'],
    },
    {
      name: 'a system identity that is none',
      text: GOOD.replace('x509: {', 'systemIdentities: { groups: [admins] }\n  x509: {'),
      expected: [
        'gatehouse.yaml:7:32: authentication.systemIdentities.groups[0]: "admins": does not begin ' +
          'with "system:" (beginning with "system:", since others need not stand here)',
      ],
    },
    {
      name: 'two documents',
      text: `${GOOD}---\n${GOOD}`,
      expected: ['gatehouse.yaml:11:1: another document begins here (keep one document)'],
    },
    {
      name: 'two documents, the first of which has a problem of its own',
      text: `${GOOD}limts: {}\n---\n${GOOD}`,
      expected: [
        'gatehouse.yaml:12:1: another document begins here (keep one document)',
        'gatehouse.yaml:11:1: limts: unknown field (did you mean limits?)',
      ],
    },
    {
      name: 'an alias of nothing, at its place',
      text: GOOD.replace('path: audit.log', 'path: *.log'),
      expected: [
        'gatehouse.yaml:9:24: *.log stands for nothing: no &.log stands before it ' +
          '(write the value out, or quote what begins with "*")',
      ],
    },
    {
      name: 'of several errors of syntax the first',
      text: GOOD.replace('{ certFile: tls.crt,', '{ certFile: [tls.crt,').replace(
        '{ file',
        '} file',
      ),
      expected: [expect.stringMatching(/^gatehouse\.yaml:5:\d+: no valid YAML: /)],
    },
    {
      name: 'an item that is indented unlike the others of its list',
      text: `${GOOD}log:\n  - a: 1\n  - b: 1\n\n# pasted\n- c: 1\n`,
      expected: [
        'gatehouse.yaml:16:1: this item is indented unlike those of the list above it ' +
          '(the items of a list must be indented alike)',
      ],
    },
    {
      name: 'a choice that there is not, with the one that was meant',
      text: `${GOOD}log: { level: Info }\n`,
      expected: [
        'gatehouse.yaml:11:8: log.level: "Info" is no choice ' +
          '(did you mean info? one of: trace, debug, info, warn, error, silent)',
      ],
    },
    {
      name: 'another version',
      text: GOOD.replace('gatehouse/v1', 'gatehouse/v2'),
      expected: [
        'gatehouse.yaml:2:1: apiVersion: "gatehouse/v2" is not supported (write gatehouse/v1)',
      ],
    },
    {
      name: 'a field without a value',
      text: `${GOOD}log: { level: }\n`,
      expected: [
        'gatehouse.yaml:11:8: log.level: has no value ' +
          '(one of: trace, debug, info, warn, error, silent)',
      ],
    },
    {
      name: 'broken YAML',
      text: `${GOOD}log: [`,
      expected: [expect.stringContaining('gatehouse.yaml:11')],
    },
  ]

  test.for(cases)('$name', ({ text, expected }) => {
    expect(problems(text)).toEqual(expected)
  })

  test('all of them at once', () => {
    const text = `${GOOD}prots: {}\nlog: { level: loud }\n`
      .replace('ca.crt', 'none.crt')
      .replace('up.kubeconfig }', 'up.kubeconfig, inCluster: true }')
    expect(problems(text)).toHaveLength(4)
  })

  test('a file that is not there', () => {
    const [problem] = readConfiguration(at('nowhere.yaml')).problems
    expect(problem).toMatchObject({ file: at('nowhere.yaml'), message: 'does not exist' })
  })

  test('a file that is not there is told with its whole path', () => {
    const [problem] = readConfiguration('nowhere.yaml').problems
    expect(problem?.file).toBe(resolve('nowhere.yaml'))
  })

  test('a folder in place of the file', () => {
    expect(readConfiguration(at('.')).problems).toMatchObject([
      { message: 'is a directory', fix: 'name a file in it' },
    ])
  })

  test('an empty file', () => {
    expect(problems('')).not.toEqual([])
  })
})
