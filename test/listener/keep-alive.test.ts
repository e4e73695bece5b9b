import { Socket } from 'node:net'

import { expect, test, vi } from 'vitest'

import { startBareListener } from '../support/bare-listener.ts'
import { connectRaw } from '../support/raw.ts'

test('TCP keep-alive is enabled on connections, to notice clients that vanished', async () => {
  const setKeepAlive = vi.spyOn(Socket.prototype, 'setKeepAlive')
  const bare = await startBareListener({ handle: () => undefined, onMalformed: () => undefined })
  try {
    const client = await connectRaw(bare.target)
    const accepted = setKeepAlive.mock.contexts.filter(
      (socket) => (socket as Socket).localPort === bare.target.port,
    )
    expect(accepted).toHaveLength(1)
    expect(setKeepAlive.mock.calls).toContainEqual([true, 60_000, 15_000, 9])
    client.destroy()
  } finally {
    setKeepAlive.mockRestore()
    await bare.close()
  }
})
