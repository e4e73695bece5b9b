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

/** As they are printed, without the directory. */
function problems(text: string): string[] {
  return read(text).problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ''))
}

test('the smallest configuration gets every default, durations in milliseconds and absolute paths', () => {
  const { configuration, problems: found } = read(GOOD)
  expect(found).toEqual([])
  expect(configuration?.listener).toMatchObject({
    address: '0.0.0.0',
    port: 8443,
    tls: { certFile: at('tls.crt'), minVersion: 'VersionTLS12' },
    limits: { headerTimeout: 10_000, idleTimeout: 90_000 },
  })
  expect(configuration?.audit).toMatchObject({
    mode: 'batch',
    onFailure: 'refuse',
    file: { path: at('audit.log'), maxSizeMegabytes: 100 },
  })
  expect(configuration?.limits.user.list).toEqual({ requestsPerSecond: 100, burst: 600 })
  expect(configuration?.upstream.identity.mode).toBe('impersonation')
})

test('the parts of a duration are added', () => {
  const { configuration } = read(`${GOOD}shutdown: { delay: 1m30s, gracePeriod: 500ms }\n`)
  expect(configuration?.shutdown).toEqual({ delay: 90_000, gracePeriod: 500 })
})

describe('a problem names file, line, field and fix', () => {
  const cases = [
    {
      name: 'an unknown field, with the field that was probably meant',
      text: GOOD.replace('audit:', 'limts: {}\naudit:'),
      expected: ['gatehouse.yaml:9:1: limts: unknown field (did you mean limits?)'],
    },
    {
      name: 'a duplicate key',
      text: `${GOOD}log: { level: info }\nlog: { level: warn }\n`,
      expected: ['gatehouse.yaml:12:1: duplicate key log (keep one of the two)'],
    },
    {
      name: 'a tab, after which the parser believes to have seen a key before',
      text: `${GOOD}log:\n\tlevel: info\nprobes: { port: 0 }\nlog: { level: warn }\n`,
      expected: [
        'gatehouse.yaml:12:1: invalid YAML: Tabs are not allowed as indentation (correct the syntax)',
      ],
    },
    {
      name: 'a wrong type',
      text: `${GOOD}probes: { port: "many" }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.port: "many" is a string ' +
          '(must be a port number, or 0 for any free port)',
      ],
    },
    {
      name: 'a number that is too big',
      text: `${GOOD}probes: { port: 84430 }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.port: 84430 is greater than 65535 ' +
          '(must be a port number, or 0 for any free port)',
      ],
    },
    {
      name: 'a number that must be above another',
      text: `${GOOD}limits: { address: { requestsPerSecond: 0 } }\n`,
      expected: [
        'gatehouse.yaml:11:22: limits.address.requestsPerSecond: 0 is not greater than 0 ' +
          '(must be a number above 0, at most 1000000)',
      ],
    },
    {
      name: 'a text that is not an IP address',
      text: `${GOOD}probes: { address: localhost }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.address: "localhost" is not an IP address ' +
          '(must be an IP address such as 127.0.0.1, 0.0.0.0 or ::)',
      ],
    },
    {
      name: 'a text that is not a duration',
      text: `${GOOD}shutdown: { delay: 5 seconds }\n`,
      expected: [
        'gatehouse.yaml:11:13: shutdown.delay: "5 seconds" is not a duration ' +
          '(must be a duration such as "30s", "500ms" or "1h30m")',
      ],
    },
    {
      name: 'a number in place of a duration',
      text: `${GOOD}shutdown: { delay: 30 }\n`,
      expected: [
        'gatehouse.yaml:11:13: shutdown.delay: 30 is a number ' +
          '(must be a duration such as "30s", "500ms" or "1h30m")',
      ],
    },
    {
      name: 'a fraction in place of a whole number',
      text: `${GOOD}limits: { maxTrackedKeys: 1.5 }\n`,
      expected: [
        'gatehouse.yaml:11:11: limits.maxTrackedKeys: 1.5 is not a whole number ' +
          '(must be a whole number from 1 to 1000000)',
      ],
    },
    {
      name: 'a list in place of a mapping, with its fields',
      text: `${GOOD}shutdown: []\n`,
      expected: [
        'gatehouse.yaml:11:1: shutdown: is a list ' +
          '(must be a mapping with the fields delay, gracePeriod)',
      ],
    },
    {
      name: 'an item of a list',
      text: GOOD.replace(
        'listener:\n',
        'listener:\n  strictTransportSecurity: [preload, max-age]\n',
      ),
      expected: [
        'gatehouse.yaml:5:38: listener.strictTransportSecurity[1]: "max-age" is not an HSTS directive ' +
          '(must be max-age=SECONDS, includeSubDomains or preload)',
      ],
    },
    {
      name: 'a wrong type, once',
      text: GOOD.replace('rulesFile: rules.yaml', 'rulesFile: []'),
      expected: [
        'gatehouse.yaml:8:18: authorization.rulesFile: is a list ' +
          '(must be a file path, relative to the directory of this file)',
      ],
    },
    {
      name: 'an empty path',
      text: GOOD.replace('rulesFile: rules.yaml', 'rulesFile: ""'),
      expected: [
        'gatehouse.yaml:8:18: authorization.rulesFile: is empty ' +
          '(must be a file path, relative to the directory of this file)',
      ],
    },
    {
      name: 'a required field that is missing',
      text: GOOD.replace('{ rulesFile: rules.yaml }', '{}'),
      expected: [
        'gatehouse.yaml:8:1: authorization.rulesFile: is required ' +
          '(must be a file path, relative to the directory of this file)',
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
      name: 'a directory in place of a file',
      text: GOOD.replace('rulesFile: rules.yaml', 'rulesFile: .'),
      expected: [
        expect.stringMatching(
          /: authorization\.rulesFile: .* is a directory \(name a file in it\)$/,
        ),
      ],
    },
    {
      name: 'an audit log in a directory that does not exist',
      text: GOOD.replace('path: audit.log', 'path: log/audit.log'),
      expected: [
        'gatehouse.yaml:9:18: audit.file.path: the directory log does not exist ' +
          '(create it, or correct the path)',
      ],
    },
    {
      name: 'a configuration without an authentication method',
      text: GOOD.replace('  x509: { clientCAFile: ca.crt }', '  tokenCacheSize: 5'),
      expected: [
        'gatehouse.yaml:6:1: authentication: no authentication method is configured (set one or more of configFile, x509, issuedCertificates, serviceAccounts)',
      ],
    },
    {
      name: 'a configuration without an audit sink',
      text: GOOD.replace('{ file: { path: audit.log } }', '{ stdout: { enabled: false } }'),
      expected: [
        'gatehouse.yaml:9:1: audit: no audit sink is configured (set one or more of file, stdout)',
      ],
    },
    {
      name: 'an audit log that must have the event of every change, and may lose it',
      text: GOOD.replace(
        '{ file: { path: audit.log } }',
        '{ mode: blocking-strict, onFailure: count, file: { path: audit.log } }',
      ),
      expected: [
        'gatehouse.yaml:9:33: audit.onFailure: conflicts with mode: blocking-strict, which forwards ' +
          'no change without its event (set onFailure: refuse, or mode: blocking)',
      ],
    },
    {
      name: 'two API servers',
      text: GOOD.replace('kubeconfig: up.kubeconfig', 'kubeconfig: up.kubeconfig, inCluster: true'),
      expected: [
        'gatehouse.yaml:10:40: upstream.inCluster: conflicts with kubeconfig (keep one of the two)',
      ],
    },
    {
      name: 'a configuration without an API server',
      text: GOOD.replace('{ kubeconfig: up.kubeconfig }', '{}'),
      expected: [
        'gatehouse.yaml:10:1: upstream: does not name an API server (set kubeconfig, or inCluster: true)',
      ],
    },
    {
      name: 'header names for another identity mode',
      text: GOOD.replace(
        '{ kubeconfig: up.kubeconfig }',
        '{ kubeconfig: up.kubeconfig, identity: { requestheader: { uidHeader: X-Uid } } }',
      ),
      expected: [expect.stringContaining('conflicts with mode: impersonation')],
    },
    {
      name: 'the same port for two listeners',
      text: `${GOOD}probes: { port: 8443 }\n`,
      expected: [
        'gatehouse.yaml:11:11: probes.port: is also the port of the listener (choose another port)',
      ],
    },
    {
      name: 'a system identity without the prefix "system:"',
      text: GOOD.replace('x509: {', 'systemIdentities: { groups: [admins] }\n  x509: {'),
      expected: [
        'gatehouse.yaml:7:32: authentication.systemIdentities.groups[0]: "admins" does not begin ' +
          'with "system:" (must begin with "system:": other names need not be listed)',
      ],
    },
    {
      name: 'two documents',
      text: `${GOOD}---\n${GOOD}`,
      expected: ['gatehouse.yaml:11:1: a second document begins here (keep one document)'],
    },
    {
      name: 'two documents, and a problem of the first one',
      text: `${GOOD}limts: {}\n---\n${GOOD}`,
      expected: [
        'gatehouse.yaml:12:1: a second document begins here (keep one document)',
        'gatehouse.yaml:11:1: limts: unknown field (did you mean limits?)',
      ],
    },
    {
      name: 'an alias without an anchor, at its place',
      text: GOOD.replace('path: audit.log', 'path: *.log'),
      expected: [
        'gatehouse.yaml:9:24: the alias *.log has no anchor &.log before it ' +
          '(write the value out, or quote text that begins with "*")',
      ],
    },
    {
      // A search for the anchor of each would take minutes.
      name: 'as many aliases as a file can have',
      text: `${GOOD}x-text: &text a\nx-texts: [${'*text, '.repeat(10_000)}]\n`,
      expected: [expect.stringMatching(/^gatehouse\.yaml:2:1: Excessive alias count/)],
    },
    {
      name: 'the first of several syntax errors',
      text: GOOD.replace('{ certFile: tls.crt,', '{ certFile: [tls.crt,').replace(
        '{ file',
        '} file',
      ),
      expected: [expect.stringMatching(/^gatehouse\.yaml:5:\d+: invalid YAML: /)],
    },
    {
      name: 'a list item that is not indented like the others',
      text: `${GOOD}log:\n  - a: 1\n  - b: 1\n\n# pasted\n- c: 1\n`,
      expected: [
        'gatehouse.yaml:16:1: this item is not indented like the list items above it ' +
          '(indent all items of a list alike)',
      ],
    },
    {
      name: 'an invalid value, with the value that was probably meant',
      text: `${GOOD}log: { level: Info }\n`,
      expected: [
        'gatehouse.yaml:11:8: log.level: "Info" is not a valid value ' +
          '(did you mean info? must be one of: trace, debug, info, warn, error, silent)',
      ],
    },
    {
      name: 'another version of the format',
      text: GOOD.replace('gatehouse/v1', 'gatehouse/v2'),
      expected: [
        'gatehouse.yaml:2:1: apiVersion: "gatehouse/v2" is not supported (must be gatehouse/v1)',
      ],
    },
    {
      name: 'a field without a value',
      text: `${GOOD}log: { level: }\n`,
      expected: [
        'gatehouse.yaml:11:8: log.level: has no value ' +
          '(must be one of: trace, debug, info, warn, error, silent)',
      ],
    },
    {
      name: 'YAML that ends too early',
      text: `${GOOD}log: [`,
      expected: [expect.stringContaining('gatehouse.yaml:11')],
    },
  ]

  test.for(cases)('for $name', ({ text, expected }) => {
    expect(problems(text)).toEqual(expected)
  })

  test('for every problem at once', () => {
    const text = `${GOOD}prots: {}\nlog: { level: loud }\n`
      .replace('ca.crt', 'none.crt')
      .replace('up.kubeconfig }', 'up.kubeconfig, inCluster: true }')
    expect(problems(text)).toHaveLength(4)
  })

  test('for a configuration file that does not exist', () => {
    const [problem] = readConfiguration(at('nowhere.yaml')).problems
    expect(problem).toMatchObject({ file: at('nowhere.yaml'), message: 'does not exist' })
  })

  test('with the absolute path of a configuration file that does not exist', () => {
    const [problem] = readConfiguration('nowhere.yaml').problems
    expect(problem?.file).toBe(resolve('nowhere.yaml'))
  })

  test('for a directory in place of the configuration file', () => {
    expect(readConfiguration(at('.')).problems).toMatchObject([
      { message: 'is a directory', fix: 'name a file in it' },
    ])
  })

  test('for an empty configuration file', () => {
    expect(problems('')).not.toEqual([])
  })
})
