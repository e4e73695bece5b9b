import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { afterAll, beforeAll, expect, test } from 'vitest'

import { startBareListener, type BareListener } from '../support/bare-listener.ts'

/** More than node asks for by itself (511). */
const CLIENTS = 800
const somaxconn = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'))
/** Prints how many connections there are once there are enough, or after some seconds. */
const CONNECT = `
  const { connect } = require('node:net')
  const [port, clients] = process.argv.slice(1).map(Number)
  let connected = 0
  const end = () => {
    process.stdout.write(String(connected))
    process.exit()
  }
  setTimeout(end, 10_000)
  for (let i = 0; i < clients; i += 1) {
    connect(port, '127.0.0.1', () => {
      connected += 1
      if (connected === clients) end()
    })
  }
`

let bare: BareListener

beforeAll(async () => {
  bare = await startBareListener({ handle: () => undefined, onMalformed: () => undefined })
})

afterAll(() => bare.close())

test.skipIf(somaxconn < CLIENTS)('many clients can connect before any of them is accepted', () => {
  // This process accepts nothing meanwhile.
  const port = String(bare.target.port)
  const printed = execFileSync(process.execPath, ['-e', CONNECT, port, String(CLIENTS)])
  expect(Number(printed.toString())).toBe(CLIENTS)
})
