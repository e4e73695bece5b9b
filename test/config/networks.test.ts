/** Fields of networks and origins. */
import { describe, expect, test } from 'vitest'

import { network, origin } from '../../src/config/fields.ts'
import { createNetworks } from '../../src/config/networks.ts'

describe('a network', () => {
  test.for(['10.0.0.0/8', '192.0.2.7', '0.0.0.0/0', '::1', 'fd00::/8', '2001:db8::/128'])(
    'may be %s',
    (text) => {
      expect(network.safeParse(text).success).toBe(true)
      expect(() => createNetworks([text])).not.toThrow()
    },
  )

  test.for([
    ...['', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/8/8', '10.0.0/8', 'fd00::/129'],
    ...['example.com', '*', '10.0.0.0/-1', 'fe80::1%eth0', ' 10.0.0.0/8'],
  ])('must not be %j', (text) => {
    expect(network.safeParse(text).success).toBe(false)
  })

  test('contains its addresses and no others', () => {
    const contains = createNetworks(['10.0.0.0/8', 'fd00::/8', '192.0.2.7'])
    const all = ['10.1.2.3', 'fd00::1', '192.0.2.7', '11.0.0.1', 'fe00::1', '192.0.2.8', '', 'x']
    expect(all.filter(contains)).toEqual(['10.1.2.3', 'fd00::1', '192.0.2.7'])
  })

  test.for([
    ['::/0', ['fd00::1', '::1']],
    ['0.0.0.0/0', ['192.0.2.7', '10.0.0.1']],
    ['::ffff:192.0.2.0/120', ['192.0.2.7']],
  ] as const)('%s contains addresses of one family', ([text, contained]) => {
    const all = ['192.0.2.7', '10.0.0.1', 'fd00::1', '::1']
    expect(all.filter(createNetworks([text])).toSorted()).toEqual(contained.toSorted())
  })
})

describe('an origin', () => {
  test.for(['https://console.example.com', 'http://localhost:3000', 'https://[::1]:8443'])(
    'may be %s',
    (text) => {
      expect(origin.safeParse(text).success).toBe(true)
    },
  )

  test.for([
    ...['', 'null', '*', 'console.example.com', 'https://console.example.com/'],
    ...['https://Console.example.com', 'https://console.example.com:443', 'ftp://example.com'],
    ...['https://*.example.com', 'https://a@example.com'],
  ])('must not be %j', (text) => {
    expect(origin.safeParse(text).success).toBe(false)
  })
})
