/** `gatehouse login` and the credential plugin with a real Dex. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'
import { stringify } from 'yaml'

import { writeDevelopmentCertificates } from '../../certs-dev/generate.ts'
import { freePort } from '../../dev/parts/free-ports.ts'
import { part, partsAvailable } from '../../dev/parts/parts.ts'
import { startApiServer } from '../support/api-server.ts'
import { command } from '../support/command.ts'
import { startTestGatehouse, upstreamOf } from '../support/gatehouse.ts'
import { startProgram } from '../support/program.ts'
import { START } from '../support/sign-in-world.ts'

const availability = await partsAvailable(['dex'])
if (!availability.available) process.stderr.write(`\n*** ${availability.reason} ***\n\n`)

/** bcrypt of "password". */
const PASSWORD = '$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W'

describe.skipIf(!availability.available)('with a real Dex', () => {
  test('login derives the scopes, and refresh tokens rotate', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gatehouse-dex-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    const { ca, serving } = await writeDevelopmentCertificates(join(folder, 'certificates'))
    const certificateAuthority = await readFile(ca.certFile, 'utf8')
    const [port, redirect] = [await freePort(), await freePort()]
    const issuer = `https://127.0.0.1:${port}`
    await writeFile(
      join(folder, 'dex.yaml'),
      stringify({
        issuer,
        storage: { type: 'memory' },
        web: { https: `127.0.0.1:${port}`, tlsCert: serving.certFile, tlsKey: serving.keyFile },
        oauth2: { skipApprovalScreen: true },
        enablePasswordDB: true,
        staticPasswords: [
          { email: 'ada@example.com', hash: PASSWORD, username: 'ada', userID: '1' },
        ],
        staticClients: [
          {
            id: 'kubernetes',
            name: 'kubectl',
            public: true,
            redirectURIs: [`http://localhost:${redirect}`],
          },
        ],
      }),
    )
    const dex = startProgram(await part('dex'), ['serve', join(folder, 'dex.yaml')], {
      cwd: folder,
      env: {},
    })
    await dex.until(/listening on|listening/)
    const api = await startApiServer()
    onTestFinished(() => api.close())
    const authentication = join(folder, 'authentication.yaml')
    await writeFile(
      authentication,
      stringify({
        apiVersion: 'apiserver.config.k8s.io/v1',
        kind: 'AuthenticationConfiguration',
        jwt: [
          {
            issuer: { url: issuer, audiences: ['kubernetes'], certificateAuthority },
            claimMappings: { username: { claim: 'email', prefix: 'dex:' } },
          },
        ],
      }),
    )
    const method = {
      name: 'dex',
      issuer,
      redirectURIs: [`http://localhost:${redirect}`],
    }
    const gatehouse = await startTestGatehouse({
      upstream: upstreamOf(api),
      configuration: {
        authentication: { configFile: authentication },
        signIn: { methods: [method] },
      },
    })
    onTestFinished(() => gatehouse.close())
    const env = {
      PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
      HOME: folder,
      BROWSER: `${process.execPath} ${resolve(import.meta.dirname, '../support/browser.ts')}`,
      BROWSER_LOG: join(folder, 'windows'),
      BROWSER_ACCOUNT: 'ada@example.com',
      BROWSER_PASSWORD: 'password',
      BROWSER_CA: ca.certFile,
    }
    const run = (...args: readonly string[]) =>
      command(process.execPath, [START, ...args], { cwd: folder, env })
    const trust = ['--ca-file', gatehouse.file('serving-ca.crt'), '--cache', 'file']
    const login = await run('login', gatehouse.url, ...trust)
    expect(login).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('dex:ada@example.com') as string,
    })
    const asked = new URL((await readFile(env.BROWSER_LOG, 'utf8')).trim()).searchParams
    expect(asked.get('scope')).toBe('openid offline_access email')

    const cache = join(folder, '.cache/gatehouse/sign-in')
    const [name = ''] = (await readdir(cache)).filter((entry) => entry.endsWith('.json'))
    const before = await readFile(join(cache, name), 'utf8')
    await writeFile(join(cache, name), before.replace(/"renewAt":\d+/, '"renewAt":1'))
    expect(await run('whoami', '--output', 'json')).toMatchObject({ code: 0, stderr: '' })
    const refreshTokenOf = (text: string) =>
      (JSON.parse(text) as { secrets: { refreshToken: string } }).secrets.refreshToken
    const after = await readFile(join(cache, name), 'utf8')
    expect(refreshTokenOf(after)).not.toBe(refreshTokenOf(before))
    await dex.stop('SIGTERM')
  })
})
