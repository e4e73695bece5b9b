/** What rules promise, with the real kubectl: denies of exec, and the examples of config/ and docs/. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'

import { newNamespace } from '../support/cluster.ts'
import { overSPDY } from '../support/kubectl.ts'
import { readShippedRules, startSite, type Site } from '../support/site.ts'
import { CREDENTIALS } from '../support/users.ts'

const WRITES = ['create', 'update', 'patch', 'delete', 'deletecollection']
const PROTOCOLS = { WebSocket: {}, SPDY: overSPDY } as const

describe.skipIf(!inject('hasParts')).for([['*'], ['pods/*']])(
  'a deny of all writes on %j',
  (resources) => {
    let site: Site

    beforeAll(async () => {
      const shipped = await readShippedRules()
      const deny = {
        name: 'read-only',
        effect: 'deny',
        verbs: WRITES,
        resources: [{ apiGroups: ['*'], resources }],
      }
      const rules = { ...shipped, rules: [deny, ...shipped.rules], tests: [] }
      site = await startSite({ namespace: newNamespace(), rules })
    })

    afterAll(() => site.stop())

    test.for(CREDENTIALS)('leaves reads and logs open to a user with a %s', async (credential) => {
      const { kubectl } = site.users[credential]
      expect(await kubectl(['get', 'pod', 'web', '-o', 'name'])).toMatchObject({ code: 0 })
      expect(await kubectl(['logs', 'web', '--tail=1'])).toMatchObject({ code: 0 })
    })

    describe.each(Object.entries(PROTOCOLS))('over %s', (_protocol, env) => {
      test.for([
        ['exec', 'web', '--', 'true'],
        ['attach', 'web'],
        ['port-forward', 'pod/web', ':80'],
      ])('denies kubectl %s', async (args) => {
        const { code, stderr } = await site.users['client certificate'].kubectl(args, { env })
        expect(code).toBe(1)
        expect(stderr).toContain('denied by Gatehouse rule "read-only"')
      })
    })
  },
)
