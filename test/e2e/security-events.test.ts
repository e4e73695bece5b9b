/** What kubectl shows when the identity provider ends a sign-in: two replicas, and Redis between them. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { LOOPBACK } from '../../dev/loopback.ts'
import { createSigningKey, type SigningKey } from '../authentication/oidc/issuer.ts'
import { AUDIENCE, EVENTS, signEvent, type EventOptions } from '../security-events/transmitter.ts'
import { createClient } from '../support/client.ts'
import { newNamespace } from '../support/cluster.ts'
import { startTestGatehouse, type TestGatehouse } from '../support/gatehouse.ts'
import { overSPDY } from '../support/kubectl.ts'
import { hasRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { readShippedRules, startSite, type Site } from '../support/site.ts'
import { createUser, withToken, type User } from '../support/users.ts'

const NAMESPACE = newNamespace()
const TRANSMITTER = 'https://idp.example.com'
const POLLING = { timeout: 20_000, interval: 100 }
const EXEC = ['exec', '-i', 'web', '--', 'sh', '-c', 'echo started; exec sleep 600']
const seconds = (): number => Math.floor(Date.now() / 1_000)

describe.skipIf(!inject('hasParts') || !hasRedis)(
  'a security event',
  () => {
    let redis: TestRedis
    let key: SigningKey
    let site: Site
    /** Receives the events; the streams run on the other one. */
    let second: TestGatehouse

    beforeAll(async () => {
      redis = await startRedis()
      key = await createSigningKey('t-1')
      const options = {
        configuration: {
          state: {
            type: 'redis',
            redis: {
              addresses: [`${LOOPBACK}:${redis.port}`],
              secretFile: 'secret',
              timeout: '2s',
            },
          },
        },
        files: { secret: 'k'.repeat(64), 'keys.json': JSON.stringify({ keys: [key.publicJwk] }) },
        transmitter: {
          ...{ issuer: TRANSMITTER, audiences: [AUDIENCE], jwksFile: 'keys.json', push: {} },
        },
      }
      site = await startSite({ isAlone: true, namespace: NAMESPACE, ...options })
      second = await startTestGatehouse({
        ...options,
        upstream: { kubeconfig: site.cluster.gatehouseKubeconfig },
        rules: await readShippedRules(),
        issuedBy: site.gatehouse,
      })
    })

    afterAll(async () => {
      await second.close()
      await site.stop()
      await redis.close()
    })

    async function push(sub: string, options: EventOptions): Promise<number> {
      const { url, ca } = second
      const client = createClient({ url, ca })
      const subject = { format: 'iss_sub', iss: site.gatehouse.issuer.url, sub }
      const { status } = await client.ask('/gatehouse/security-events', {
        method: 'POST',
        headers: { 'content-type': 'application/secevent+jwt' },
        body: await signEvent(TRANSMITTER, key, { subject, ...options }),
      })
      await client.close()
      return status
    }

    /** The streams of a user, all of which have begun. */
    async function startStreams(user: User) {
      const streams = {
        webSocket: user.start(EXEC),
        spdy: user.start(EXEC, overSPDY),
        watch: user.start(['get', 'configmaps', '--watch']),
      }
      await Promise.all([
        ...[streams.webSocket, streams.spdy].map((stream) => stream.until(/started/)),
        streams.watch.until(/kube-root-ca/),
      ])
      return streams
    }

    test('ends exec and watch of the user on the other replica, and a new sign-in works at once', async () => {
      const { controlPlane } = site.cluster
      const user = site.users['OIDC token']
      const grace = await withToken(controlPlane, site.gatehouse, { sub: 'grace' })
      const own = await startStreams(user)
      const others = await startStreams(grace)

      const changed = {
        ...{ event: EVENTS.credentialChange, payload: { change_type: 'update' } },
        claims: { iat: seconds() + 1 },
      }
      expect(await push('ada', changed)).toBe(202)
      const ended = `your session at "${site.gatehouse.issuer.url}" has ended (credential-change at `
      for (const stream of [own.webSocket, own.spdy]) {
        const { code, stderr } = await stream.ended
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: expect.stringContaining(`error: ${ended}`) as string,
        })
      }
      expect((await own.watch.ended).stdout).toContain(ended)
      const refused = await user.kubectl(['get', 'pods'])
      expect(refused).toMatchObject({ code: 1, stdout: '' })
      expect(refused.stderr).toContain('You must be logged in to the server')

      // Others go on, and so does the user who has signed in again.
      await site.cluster.admin(['-n', NAMESPACE, 'create', 'configmap', 'after-the-event'])
      await others.watch.until(/after-the-event/)
      const token = await site.gatehouse.token({ groups: ['engineers'], iat: seconds() + 2 })
      const again = await createUser(controlPlane, site.gatehouse, 'oidc:ada', [], { token })
      expect(await again.kubectl(['get', 'pods'])).toMatchObject({ code: 0 })

      // An account that was disabled is out, whatever it signs in with.
      expect(await push('grace', { event: EVENTS.accountDisabled })).toBe(202)
      for (const stream of [others.webSocket, others.spdy]) {
        const { code, stderr } = await stream.ended
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: expect.stringMatching(
            /account-disabled|disabled at the identity provider/,
          ) as string,
        })
      }
      const later = await site.gatehouse.token({ sub: 'grace', iat: seconds() + 2 })
      const locked = await createUser(controlPlane, site.gatehouse, 'oidc:grace', [], {
        token: later,
      })
      await expect
        .poll(async () => (await locked.kubectl(['get', 'pods'])).stderr, POLLING)
        .toContain('is locked: The account was disabled at the identity provider.')
    })
  },
  120_000,
)
