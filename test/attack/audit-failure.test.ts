/**
 * An audit log that cannot be written: no request is served without a record, unless the administrator
 * chose to have lost events counted instead.
 */
import { rm, symlink } from 'node:fs/promises'

import { describe, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { readResponse, type RawResponse } from '../support/raw.ts'

function get(target: string, fields: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`
}

describe('an audit log that cannot be written', () => {
  /** Simulates a full disk; the returned function frees space again. */
  async function fillDisk({ gatehouse }: Attack): Promise<() => Promise<void>> {
    const path = gatehouse.file('audit.log')
    await rm(path)
    await symlink('/dev/full', path)
    return () => rm(path)
  }

  const readiness = async ({ gatehouse }: Attack): Promise<string> =>
    (await fetch(`${gatehouse.probesUrl}/readyz?verbose`)).text()

  async function ask(one: Attack, target: string): Promise<RawResponse> {
    const connection = await one.connect()
    connection.write(get(target, await one.bearer()))
    const response = await readResponse(connection)
    connection.destroy()
    return response
  }

  test('refuses all requests and reports it; events of earlier requests are written later', async () => {
    const own = await startAttack()
    const makeRoom = await fillDisk(own)
    let served = 0
    await expect.poll(async () => (await ask(own, `/served/${served++}`)).status).toBe(503)
    const reached = own.api.received.length
    const response = await ask(own, '/refused')
    expect(response.status).toBe(503)
    expect(JSON.parse(response.body)).toMatchObject({
      kind: 'Status',
      reason: 'ServiceUnavailable',
      message: expect.stringContaining('audit log cannot be written') as string,
    })
    expect(own.api.received).toHaveLength(reached)
    expect(await readiness(own)).toMatch(/^\[-\]audit\b/m)

    await makeRoom()
    await expect.poll(() => readiness(own)).toMatch(/^\[\+\]audit\b/m)
    expect((await ask(own, '/again')).status).toBe(200)
    await own.gatehouse.eventsWhere(({ requestURI }) => requestURI === '/again')
    const uris = new Set((await own.gatehouse.events()).map(({ requestURI }) => requestURI))
    // Only requests that reached the API server after the log was recreated.
    for (const { url } of own.api.received.slice(-2)) expect(uris).toContain(url)
    expect(uris).not.toContain('/refused')
    await own.close()
  })

  test('with onFailure: count serves all requests and counts lost events', async () => {
    const unlimited = { requestsPerSecond: 100_000, burst: 100_000 }
    const own = await startAttack({
      configuration: {
        audit: { onFailure: 'count' },
        limits: { address: unlimited, user: { read: unlimited } },
      },
    })
    const makeRoom = await fillDisk(own)
    // The buffer is limited to 16 MB, which needs long lines to fill.
    const agent = `User-Agent: ${'\x85'.repeat(1_024)}\r\n`
    const request = get(`/${'a'.repeat(4_000)}`, (await own.bearer()) + agent)
    const lost = (): Promise<string> => own.gatehouse.gatehouse.metrics.registry.metrics()
    const connection = await own.connect()
    const statuses = new Set<number>()
    await expect
      .poll(async () => {
        for (let i = 0; i < 100; i += 10) {
          connection.write(request.repeat(10))
          for (let k = 0; k < 10; k++) statuses.add((await readResponse(connection)).status)
        }
        return lost()
      })
      .toMatch(/^gatehouse_audit_events_total\{sink="file",result="lost"\} [1-9]/m)
    connection.destroy()
    expect([...statuses]).toEqual([200])
    expect(await readiness(own)).toMatch(/^\[\+\]audit\b/m)
    expect(own.gatehouse.log.join('')).toContain('audit events are being lost')
    await makeRoom()
    await own.close()
  })
})
