/** Handshakes cost Gatehouse more than the client: one address gets so many, others theirs. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'

import { afterEach, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { readAnswer } from '../support/raw.ts'

const ATTACKER = { localAddress: '127.0.0.2' }
const BURST = 20

let attack: Attack

afterEach(() => attack.close())

async function refusedHandshakes(): Promise<number> {
  const { values } = await attack.gatehouse.gatehouse.metrics.connectionsRefused.get()
  return values.find(({ labels }) => labels.reason === 'handshake_rate')?.value ?? 0
}

async function shakesHands(localAddress?: string): Promise<boolean> {
  try {
    const connection = await attack.connect(localAddress === undefined ? {} : { localAddress })
    connection.destroy()
    return true
  } catch {
    return false
  }
}

test('beyond the burst of an address connections are closed before TLS; another address gets in', async () => {
  const handshakes = { handshakesPerSecond: 0.001, burst: BURST }
  attack = await startAttack({ configuration: { limits: { handshakes } } })
  const shaken: boolean[] = []
  for (let i = 0; i < BURST + 30; i++) shaken.push(await shakesHands(ATTACKER.localAddress))
  expect(shaken).toEqual(shaken.map((_, i) => i < BURST))
  expect(await refusedHandshakes()).toBe(30)
  expect(await shakesHands()).toBe(true)
})

test('connections that never begin TLS count as well', async () => {
  const handshakes = { handshakesPerSecond: 0.001, burst: BURST }
  attack = await startAttack({ configuration: { limits: { handshakes } } })
  for (let i = 0; i < BURST; i++) {
    const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', ...ATTACKER })
    await once(socket, 'connect')
    socket.resetAndDestroy()
  }
  expect(await shakesHands(ATTACKER.localAddress)).toBe(false)
})

test('by default, a storm of kubectl behind one address is served: 50 at a time, 300 connections', async () => {
  attack = await startAttack()
  const bearer = await attack.bearer()
  const statuses: (number | undefined)[] = []
  let left = 300
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const connection = await attack.connect(ATTACKER)
      connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
      statuses.push((await readAnswer(connection)).status)
      connection.destroy()
    }
  }
  await Promise.all(Array.from({ length: 50 }, client))
  expect(statuses).toEqual(Array.from({ length: 300 }, () => 200))
  expect(await refusedHandshakes()).toBe(0)
})
