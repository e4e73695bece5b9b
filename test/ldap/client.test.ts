/** A directory that is hostile, or broken: nothing that it sends counts as more than it says. */
import { Socket } from 'node:net'

import { describe, expect, onTestFinished, test } from 'vitest'

import { LdapClient, type LdapSearch } from '../../src/ldap/client.ts'
import type { Entry } from '../../src/ldap/response.ts'
import {
  BOUND,
  connectScripted,
  element,
  entry,
  EXTENDED,
  message,
  number,
  page,
  result,
  SEARCHED,
  text,
} from '../support/ldap-messages.ts'

const SEARCH: LdapSearch = { baseDN: 'dc=x', filter: '(cn=a)', attributes: ['cn'], pageSize: 2 }
const found = message(1, entry('cn=a', { cn: ['a'] }))
const done = (id = 1, code = 0) => message(id, result(SEARCHED, code))

async function bind(...responses: readonly Buffer[]): Promise<void> {
  const client = await connectScripted(() => Buffer.concat(responses))
  await client.bind('cn=ada', 'wrong')
}

async function search(respond: (id: number) => Buffer | undefined, options = SEARCH) {
  const entries: Entry[] = []
  const client = await connectScripted(respond)
  for await (const each of client.search(options)) entries.push(each)
  return entries
}

/** A client whose server's bytes the test sends, by the event `data`. */
async function connectPieces() {
  const socket = Object.assign(new Socket(), { write: () => true })
  const client = new LdapClient(socket, 5_000)
  onTestFinished(() => void socket.destroy())
  return { client, socket }
}

test('a bind succeeds by the response that says so', async () => {
  await expect(bind(message(1, result(BOUND)))).resolves.toBeUndefined()
  await expect(bind(message(1, result(BOUND, 49)))).rejects.toMatchObject({ code: 49 })
})

const code = number(0, 0x0a)
test.for<readonly [what: string, ...responses: Buffer[]]>([
  ['an empty response', message(1, element(BOUND))],
  [
    'a response without a result code',
    message(1, element(BOUND, element(0x0a), text(''), text(''))),
  ],
  ['a response that ends early', message(1, element(BOUND, code))],
  ['a result code of another type', message(1, element(BOUND, number(0), text(''), text('')))],
  ['the result of a search', message(1, result(SEARCHED))],
  ['the result of an extended operation', message(1, result(EXTENDED))],
  ['an entry', found],
  ['the response to another request', message(2, result(BOUND))],
  ['a message without an operation', element(0x30, number(1))],
  ['a message that is no sequence', element(0x31, number(1), result(BOUND))],
  ['a message with two operations', element(0x30, number(1), result(BOUND), result(BOUND))],
  ['success with something behind it', message(1, result(BOUND)), Buffer.from([0x30])],
  ['success twice', message(1, result(BOUND)), message(1, result(BOUND))],
  // ldapts 9.2 never ends at this one.
  [
    'an element that is longer than its message',
    message(1, element(BOUND, code, text(''), text(''), Buffer.from([0x87, 0x7f]))),
  ],
  ['an indefinite length', Buffer.from('3080020101610700', 'hex')],
  ['a length of five bytes', Buffer.from('30850000000001', 'hex')],
  ['a message of two gigabytes', Buffer.from('30847fffffff', 'hex')],
  ['a tag of two bytes', message(1, element(BOUND, Buffer.from([0x1f, 0x81, 0x00])))],
  ['a notice of disconnection', message(0, result(EXTENDED, 52))],
])('%s is not a successful bind, and ends the connection', async ([, ...responses]) => {
  const client = await connectScripted(() => Buffer.concat(responses))
  const failed: unknown = await client.bind('cn=ada', 'wrong').catch((error: unknown) => error)
  expect(failed).toBeInstanceOf(Error)
  // The same error, without another request.
  await expect(client.bind('cn=ada', 'wrong')).rejects.toBe(failed)
})

test('what a server says of a failure is in no error: it may repeat a password, or have lines', async () => {
  const rejection = element(BOUND, number(80, 0x0a), text(''), text('s3cret\n'.repeat(1_000)))
  const failed: unknown = await bind(message(1, rejection)).catch((error: unknown) => error)
  expect(failed).toMatchObject({ code: 80 })
  expect(String(failed).length).toBeLessThan(200)
  expect(String(failed)).not.toMatch(/s3cret|\n/)
})

test('no response ends the connection in time', async () => {
  const client = await connectScripted(() => undefined, 50)
  await expect(client.bind('cn=ada', 'x')).rejects.toThrow('no response within 50 ms')
})

describe('a search', () => {
  test('returns entries with the bytes of their values, and attributes in any case', async () => {
    const bytes = Buffer.from([0xff, 0xfe])
    const entries = await search(() =>
      Buffer.concat([message(1, entry('cn=é', { CN: ['\u{feff}a', bytes] })), done()]),
    )
    expect(entries).toEqual([
      { dn: 'cn=é', attributes: new Map([['cn', [Buffer.from('\u{feff}a'), bytes]]]) },
    ])
  })

  test('goes on after a page without entries, and after one in many packets', async () => {
    const pages: Readonly<Record<number, readonly Buffer[]>> = {
      1: [message(1, result(SEARCHED), page('next'))],
      2: [message(2, entry('cn=a')), message(2, result(SEARCHED), page('last'))],
      3: [message(3, entry('cn=b')), message(3, result(SEARCHED), page(''))],
    }
    const entries = await search((id) => Buffer.concat(pages[id] ?? []))
    expect(entries.map(({ dn }) => dn)).toEqual(['cn=a', 'cn=b'])
  })

  test('ignores references to other servers', async () => {
    const reference = message(1, element(0x73, text('ldap://elsewhere/dc=x')))
    expect(await search(() => Buffer.concat([reference, found, done()]))).toHaveLength(1)
  })

  test.for([3, 4, 11])('that was cut off (result %d) is not complete', async (limit) => {
    for (const options of [SEARCH, { ...SEARCH, sizeLimit: 2 }]) {
      const responses = Buffer.concat([found, done(1, limit)])
      await expect(search(() => responses, options)).rejects.toMatchObject({ code: limit })
    }
  })

  const control = (value: Buffer) =>
    element(0x30, text('1.2.840.113556.1.4.319'), element(0x04, value))
  const attributes = (...list: readonly Buffer[]) =>
    message(1, element(0x64, text('cn=a'), element(0x30, ...list)))
  test.for<readonly [what: string, response: Buffer]>([
    ['a DN that is not UTF-8', message(1, entry(Buffer.from([0x63, 0x6e, 0x3d, 0xff])))],
    ['no DN', message(1, element(0x64))],
    ['an attribute twice', message(1, entry('cn=a', { cn: ['a'], CN: ['b'] }))],
    ['an attribute without values', attributes(element(0x30, text('cn')))],
    [
      'values that are longer than their entry',
      attributes(element(0x30, text('cn'), Buffer.from([0x31, 0x7f]))),
    ],
    [
      'a text in place of an attribute',
      attributes(text(Buffer.concat([text('cn'), Buffer.from([0x31, 0x7f])]))),
    ],
    [
      'a reference that is longer than its message',
      message(1, element(0x73, Buffer.from('047f', 'hex'))),
    ],
    ['a page without a cookie', message(1, result(SEARCHED), control(element(0x30, number(0))))],
    ['a page that is empty', message(1, result(SEARCHED), control(Buffer.alloc(0)))],
    ['two pages at once', message(1, result(SEARCHED), page('a'), page(''))],
    ['a bind', message(1, result(BOUND))],
  ])('with %s fails', async ([, response]) => {
    await expect(search(() => Buffer.concat([response, done()]))).rejects.toThrow(
      'the server sent a malformed response',
    )
  })

  test('with many values fails, in one entry and in several', async () => {
    const values = (length: number) => Array.from({ length }, () => '')
    const one = message(1, entry('cn=a', { cn: values(20_001) }))
    await expect(search(() => one)).rejects.toThrow('an element has more than 20000 parts')
    const several = message(1, entry('cn=a', { cn: values(10_000) }))
    await expect(search(() => Buffer.concat([several, several, done()]))).rejects.toThrow(
      'more than 20000 entries, attributes and values',
    )
    expect(await search(() => Buffer.concat([several, done()]))).toHaveLength(1)
  })

  test('whose response comes byte by byte is read once it is there', async () => {
    const { client, socket } = await connectPieces()
    const entries = (async () => {
      const all: Entry[] = []
      for await (const each of client.search(SEARCH)) all.push(each)
      return all
    })()
    for (const byte of Buffer.concat([found, done()])) socket.emit('data', Buffer.from([byte]))
    expect((await entries).map(({ dn }) => dn)).toEqual(['cn=a'])
  })

  test('that never ends fails: by entries, and by pages', async () => {
    const large = message(1, entry('cn=a', { cn: ['a'.repeat(60_000)] }))
    const flood = Buffer.concat(Array.from({ length: 300 }, () => large))
    await expect(search(() => flood)).rejects.toThrow('more than 16777216 bytes')
    // Few bytes each, and many times as much memory.
    const small = Buffer.concat(Array.from({ length: 20_001 }, () => message(1, entry(''))))
    await expect(search(() => small)).rejects.toThrow(
      'more than 20000 entries, attributes and values',
    )
    const endless = (id: number) =>
      element(
        0x30,
        element(0x02, Buffer.from([id >> 8, id & 0xff])),
        result(SEARCHED),
        element(0xa0, page('more')),
      )
    await expect(search(endless)).rejects.toThrow('more than 100 pages')
  })
})
