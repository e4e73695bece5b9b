import { connect } from 'node:net'

import { LOOPBACK } from './loopback.ts'

/** Whether something accepts TCP connections on this port. */
export function acceptsConnections(port: number, host: string = LOOPBACK): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
