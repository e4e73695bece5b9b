import { expect, test } from 'vitest'
import {
  redactIdentityValue,
  redactTarget,
  redactUnparsed,
  userAgentOf,
} from '../../src/audit/redaction.ts'
import { scanWork } from './scan-work.ts'

const length = 8_000
/** Work per character. One scan costs up to 20, a scan for every character thousands. */
const most = 100

const hostile = [
  'a',
  'eyJ',
  'eyJ.',
  'eyJaaaaaaaa',
  'eyJaaaaaaaa.',
  'eyJaaaaaaaaaaaa/',
  'eyJaaaaaaaaaaaa&',
  '.',
  '-',
  '_a',
  '&',
  '=',
  'a&',
  'a=&',
  'limit=&',
  'limit&',
  'a.',
  '@',
  '@/',
  '\\',
  '%3D',
  ';',
  '?',
  'token',
  'tokens',
] as const

const functions = {
  'a query': (text: string) => redactTarget(`/p?${text}`, text),
  'a path': (text: string) => redactTarget(`/${text}`, ''),
  'a refused target': (text: string) => redactUnparsed(`/${text}`),
  'a refused query': (text: string) => redactUnparsed(`/?${text}`),
  'a value of an extra': (text: string) => redactIdentityValue('example.com/x', text),
  'a key of an extra': (text: string) => redactIdentityValue(text, 'value'),
  'a user agent': (text: string) => userAgentOf(['User-Agent', text]),
}

test.for(Object.entries(functions))(
  '%s is scanned only once, whatever it contains',
  ([, redact]) => {
    const expensive = hostile.filter((piece) => {
      const text = piece.repeat(length / piece.length)
      return scanWork(() => redact(text)) > most * text.length
    })
    expect(expensive).toEqual([])
  },
)

test.for([
  {
    name: 'a regular expression that searches the end of a token from every start',
    scan: (text: string) => /eyJ[\w-]{8,}\.[\w-]*\.[\w-]*/.test(text),
    piece: 'eyJ',
  },
  {
    name: 'a search for the next = from every parameter',
    scan: (text: string) => text.split('&').map((_, start) => text.indexOf('=', start)),
    piece: '&',
  },
])('the measurement detects $name', ({ scan, piece }) => {
  const text = piece.repeat(length / 2 / piece.length)
  expect(scanWork(() => scan(text))).toBeGreaterThan(most * text.length)
})
