/**
 * Parsing a query with thousands of selectors takes milliseconds. Before authentication such a query
 * is not parsed; after authentication it is, and it decides as usual.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'

import { MAX_SELECTOR_COMMAS } from '../../src/request/list-options.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { ALLOW_ALL } from '../support/gatehouse.ts'

const PODS = '/api/v1/namespaces/d/pods'
const selectors = (commas: number): string =>
  `watch=1&fieldSelector=metadata.name%3Dp&labelSelector=${'a,'.repeat(commas)}a`
/** As many commas as a selector may have, with one to spare. */
const SELECTORS = selectors(MAX_SELECTOR_COMMAS - 1)

let attack: Attack

beforeAll(async () => {
  attack = await startAttack({
    rules: {
      ...ALLOW_ALL,
      rules: [
        ...ALLOW_ALL.rules,
        {
          name: 'no-watch-of-p',
          effect: 'deny',
          verbs: ['watch'],
          resources: [{ apiGroups: [''], resources: ['pods'], resourceNames: ['p'] }],
        },
      ],
    },
  })
})

afterAll(() => attack.close())

async function eventOf(query: string, fields: string): Promise<object> {
  const { value, events } = await attack.watching(() =>
    attack.send(`GET ${PODS}?${query} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`),
  )
  expect(events).toHaveLength(1)
  const [{ verb, objectRef } = {}] = events
  return { code: value.response.status, verb, name: objectRef?.['name'] }
}

test('before authentication a short query is parsed for the audit log, and a long one is not', async () => {
  const short = SELECTORS.slice(0, 1_024)
  expect(await eventOf(short.slice(0, -1), '')).toEqual({ code: 401, verb: 'watch', name: 'p' })
  expect(await eventOf(SELECTORS, '')).toEqual({ code: 401, verb: 'list', name: undefined })
  const bad = 'Authorization: Bearer a.b.c\r\n'
  expect(await eventOf(SELECTORS, bad)).toEqual({ code: 401, verb: 'list', name: undefined })
})

test('after authentication both decide, and both are in the audit log', async () => {
  const bearer = await attack.bearer()
  const watch = { code: 403, verb: 'watch', name: 'p' }
  expect(await eventOf(SELECTORS.slice(0, 1_023), bearer)).toEqual(watch)
  expect(await eventOf(SELECTORS, bearer)).toEqual(watch)
  const list = SELECTORS.replace('watch=1', 'watch=0')
  expect(await eventOf(list, bearer)).toEqual({ code: 200, verb: 'list', name: 'p' })
  // With a label selector that does not parse, the name is ignored, as in kube-apiserver.
  expect(await eventOf(`${list},`, bearer)).toEqual({ code: 200, verb: 'list', name: undefined })
})

test('a selector with more commas than a selector may have is refused, and not parsed', async () => {
  const query = selectors(MAX_SELECTOR_COMMAS + 1)
  const refused = { code: 400, verb: 'list', name: undefined }
  expect(await eventOf(query, await attack.bearer())).toEqual(refused)
})
