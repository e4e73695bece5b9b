/** What kubectl shows when Gatehouse ends a stream because the credential that opened it has expired. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import { overSPDY } from '../support/kubectl.ts'
import { startSite, type Site } from '../support/site.ts'
import { createUser } from '../support/users.ts'

const NAMESPACE = newNamespace()
const EXPIRED = 'the credential that opened this stream has expired; sign in again'
/** Long enough for kubectl to open a stream on a busy machine. */
const LIFETIME_S = 20

describe.skipIf(!inject('hasParts'))('streams of an expired token', () => {
  let site: Site

  beforeAll(async () => {
    site = await startSite({
      namespace: NAMESPACE,
      configuration: { authentication: { streams: { onExpiry: 'end' } } },
    })
  })

  afterAll(() => site.stop())

  test('end with a reason that kubectl shows', async () => {
    const exp = Math.floor(Date.now() / 1_000) + LIFETIME_S
    const token = await site.gatehouse.token({ sub: 'ada', groups: ['engineers'], exp })
    const { controlPlane } = site.cluster
    const user = await createUser(controlPlane, site.gatehouse, 'oidc:ada', [], { token })
    const exec = ['exec', '-i', 'web', '--', 'sh', '-c', 'echo started; exec sleep 600']
    const streams = {
      watch: user.start(['get', 'configmaps', '--watch']),
      logs: user.start(['logs', '-f', 'web']),
      webSocket: user.start(exec),
      spdy: user.start(exec, overSPDY),
      forward: user.start(['port-forward', 'web', ':8080']),
    }
    const shown = { code: 1, stdout: 'started\n', stderr: `error: ${EXPIRED}\n` }
    expect(await streams.webSocket.ended).toEqual(shown)
    expect(await streams.spdy.ended).toEqual(shown)
    const watch = await streams.watch.ended
    expect(watch).toMatchObject({ code: 0, stderr: '' })
    expect(watch.stdout).toMatch(new RegExp(`^Failure +Unauthorized +${EXPIRED}$`, 'm'))
    const logs = await streams.logs.ended
    expect(logs).toMatchObject({ code: 0, stderr: '' })
    expect(logs.stdout).toMatch(
      new RegExp(`^tick \\d+\ngatehouse: the log was cut off: ${EXPIRED}\n$`, 'm'),
    )
    const forward = await streams.forward.ended
    expect(forward).toMatchObject({ code: 1 })
    expect(forward.stderr).toContain('error: lost connection to pod')

    const ends = await site.gatehouse.eventsWhere(
      ({ annotations }) => annotations['gatehouse/cause'] === EXPIRED,
      5,
    )
    expect(ends.map(({ annotations }) => annotations['gatehouse/abortedBy'])).toEqual(
      ends.map(() => 'gatehouse'),
    )
  })
})
