/** What kubectl prints at its first request, with an empty discovery cache, when that is refused. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest'

import { part } from '../../dev/parts/parts.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { command, type CommandResult } from '../support/command.ts'
import { startTestGatehouse, upstreamOf, type TestGatehouse } from '../support/gatehouse.ts'

describe.skipIf(!inject('hasParts'))('kubectl with an empty discovery cache', () => {
  let api: ApiServer
  let site: TestGatehouse

  beforeAll(async () => {
    api = await startApiServer()
    const rules = { apiVersion: 'gatehouse/v1', kind: 'AccessRules', rules: [onlyOps] }
    site = await startTestGatehouse({ upstream: upstreamOf(api), rules })
  })

  afterAll(async () => {
    await site.close()
    await api.close()
  })

  async function getPods(claims: Record<string, unknown>): Promise<CommandResult> {
    const home = await mkdtemp(join(tmpdir(), 'gatehouse-kubectl-'))
    onTestFinished(() => rm(home, { recursive: true }))
    const flags = [`--server=${site.url}`, '--insecure-skip-tls-verify']
    const args = [...flags, `--token=${await site.token(claims)}`, 'get', 'pods']
    return command(await part('kubectl'), args, {
      env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: '/dev/null' },
    })
  }

  test('prints why a rule refuses it', async () => {
    const { code, stderr } = await getPods({ groups: ['others'] })
    expect(code).toBe(1)
    expect(stderr).toContain('Error from server (Forbidden): ')
    expect(stderr).toContain('no Gatehouse rule allows this')
    expect(stderr).not.toContain('unknown')
  })

  test('prints what failed behind Gatehouse', async () => {
    api.handler = (_request, response) => {
      response.writeHead(401)
      response.end()
    }
    const { code, stderr } = await getPods({ groups: ['ops'] })
    expect(code).toBe(1)
    expect(stderr).toContain('an error on the server ("')
    expect(stderr).not.toContain('unknown')
  })

  test('is the only client that gets text: others get a Status', async () => {
    const token = await site.token({ groups: ['others'] })
    for (const accept of ['application/json', '*/*']) {
      const { status, body } = await command('curl', [
        ...['-sk', '-w', '\n%{content_type}', '-H', `Authorization: Bearer ${token}`],
        ...['-H', `Accept: ${accept}`, `${site.url}/api`],
      ]).then(({ stdout }) => ({ status: stdout.split('\n').at(-1), body: stdout }))
      expect(status).toBe('application/json')
      expect(body).toContain('"kind":"Status"')
    }
  })
})

const onlyOps = {
  name: 'ops',
  effect: 'allow',
  subjects: { groups: ['oidc:ops'] },
  verbs: ['*'],
  resources: [{ apiGroups: ['*'], resources: ['*'] }],
  nonResourceURLs: ['*'],
}
