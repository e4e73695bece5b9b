import { connect } from 'node:net'

import { LOOPBACK } from './loopback.ts'

/** Whether something accepts TCP connections on this port of loopback. */
export function acceptsConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, LOOPBACK)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
