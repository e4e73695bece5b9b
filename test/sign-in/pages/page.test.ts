/** How a handler of pages refuses. */
import { expect, test } from 'vitest'

import type { AuditRecord } from '../../../src/audit/record.ts'
import type { Exchange } from '../../../src/http/exchange.ts'
import { pageHandler } from '../../../src/sign-in/pages/page.ts'
import { StatusError } from '../../../src/status.ts'

test('a page about a refusal takes nothing from it: lock, cause, details, headers, the end of the connection', async () => {
  const refusal = new StatusError('Forbidden', 'user "ada" is locked', {
    lock: 'incident-1',
    cause: new Error('why'),
    details: { retryAfterSeconds: 1 },
    headers: { 'Retry-After': '1' },
    closeConnection: true,
  })
  const handler = pageHandler(
    { displayName: 'Clusters', ownHeaders: () => [], method: undefined },
    () => {
      throw refusal
    },
  )
  const exchange = {
    request: { method: 'GET', rawTarget: '/gatehouse/', rawHeaders: [] },
    header: () => 'text/html',
  } as unknown as Exchange
  const observed = {
    handler: 'pages',
    verb: '',
    requestClass: undefined,
    decision: 'none' as const,
  }
  const record = { auditID: 'id-1' } as unknown as AuditRecord
  const thrown: unknown = await handler(exchange, record, observed).catch((error: unknown) => error)
  expect(thrown).toBeInstanceOf(StatusError)
  const { reason, message, lock, cause, details, headers, closeConnection } = refusal
  const same = { reason, message, lock, cause, details, headers, closeConnection }
  expect(thrown).toMatchObject(same)
  const { representation } = thrown as StatusError
  expect(representation?.body).toContain('User &quot;ada&quot; is locked.')
  expect(representation?.headers).toContain('no-store')
})
