/** `gatehouse login --method`, with the password of a real OpenLDAP server. */
import { X509Certificate } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { command } from '../support/command.ts'
import { startProgram } from '../support/program.ts'
import { START, startSignInWorld, type SignInWorld } from '../support/sign-in-world.ts'
import {
  directoryConfiguration,
  hasSlapd,
  startDirectory,
  type TestDirectory,
} from '../support/slapd.ts'

describe.skipIf(!hasSlapd)('a user of a directory', () => {
  let slapd: TestDirectory
  let world: SignInWorld

  beforeAll(async () => {
    slapd = await startDirectory()
    const { directory, files } = directoryConfiguration(slapd)
    world = await startSignInWorld({
      signIn: { caFile: 'serving-ca.crt' },
      issuing: { directories: [directory] },
      files,
    })
  })
  afterAll(async () => {
    await world.close()
    await slapd.stop()
  })

  const loginArgs = () => {
    const trust = ['--ca-fingerprint', new X509Certificate(world.gatehouse.ca).fingerprint256]
    return ['login', world.gatehouse.url, ...trust, '--method', 'company-ldap', '--cache', 'file']
  }

  test('types the password into a terminal, which does not show it, and gets a certificate', async () => {
    const user = await world.user()
    const words = [process.execPath, START, ...loginArgs()].join(' ')
    const terminal = startProgram('script', ['-qec', words, '/dev/null'], {
      cwd: user.home,
      env: user.env,
    })
    await terminal.until(/User name: /)
    terminal.write('ada\r')
    await terminal.until(/Password of ada: /)
    terminal.write(`${slapd.password}\r`)
    const shown = await terminal.until(/Now run/)
    expect(shown).toContain('ldap:ada')
    expect(shown).not.toContain(slapd.password)
    expect(await terminal.ended).toMatchObject({ code: 0 })

    const directory = join(user.home, '.cache/gatehouse/sign-in')
    const kept = await Promise.all(
      [
        ...(await readdir(directory)).map((name) => join(directory, name)),
        join(user.home, '.kube/config'),
      ]
        .filter((file) => !file.endsWith('.lock'))
        .map((file) => readFile(file, 'utf8')),
    )
    expect(kept.join('')).not.toContain(slapd.password)
    const args = ['--method=company-ldap', '--certificate', '--cache=file']
    const { code, stdout } = await user.plugin({ interactive: false, args })
    expect(code).toBe(0)
    const { status } = JSON.parse(stdout) as { status: { clientCertificateData: string } }
    expect(status).not.toHaveProperty('token')
    expect(new X509Certificate(status.clientCertificateData).subject).toContain('CN=ldap:ada')
    expect((await user.run(['whoami'])).stdout).toMatch(/^User +ldap:ada$/m)
    expect(await user.windows()).toEqual([])
    expect(await user.run(['logout'])).toMatchObject({ code: 0 })
  })

  test('gives the password on standard input, and never in the arguments', async () => {
    const user = await world.user()
    const args = [START, ...loginArgs(), '--account', 'grace', '--password-stdin']
    const run = (input: string) =>
      command(process.execPath, args, { cwd: user.home, env: user.env, input })
    expect(await run('wrong\n')).toMatchObject({
      code: 4,
      stdout: '',
      stderr: 'gatehouse: the user name or the password is wrong\n',
    })
    expect(await run(`${slapd.password}\n`)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('ldap:operators') as string,
    })
  })

  test('without a terminal, gets one line', async () => {
    const user = await world.user()
    const { code, stdout, stderr } = await user.run(loginArgs())
    expect([code, stdout, stderr.trim().split('\n')]).toEqual([
      3,
      '',
      [expect.stringContaining('--password-stdin')],
    ])
  })
})
