/** Locks at the command line: the client imports nothing of the server, so the two may come apart. */
import { expect, test } from 'vitest'

import * as client from '../../src/client/locks-request.ts'
import * as server from '../../src/locks/lock.ts'

test('the client shows locks of whatever the server can lock', () => {
  expect(client.LOCK_TARGETS).toEqual(server.LOCK_TARGETS)
})
