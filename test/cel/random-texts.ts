/** Makes random URLs and semantic versions, whose parts are often wrong, and expressions that read them. */
import { randomNumbers } from './random-expressions.ts'

const SCHEMES = ['https', 'HTTP', 'spiffe', 'mailto', 'a+b-1.c', '1a', 'a_b', '', 'postgres', 'é']
const USERS = ['', '', '', 'ada@', 'a:b@', 'a%40:%3a@', ':@', 'a b@', 'é@', 'a@b@', '%zz@', '@']
const HOSTS = [
  ...[
    'example.com',
    'EXAMPLE.com',
    '',
    '[::1]',
    '[fe80::1%25eth0]',
    '[fe80::1%25%20é]',
    '[::1',
    ']',
  ],
  ...[
    '[1.2.3.4]',
    '[::ffff:1.2.3.4]',
    '[::ffff:1.2.3.4%25a]',
    '1.2.3.4',
    'a b',
    'a%20b',
    'a%c3%a9',
  ],
  ...[
    'é.com',
    'a%ffb',
    'a,b',
    'a:1,b',
    'a<b',
    'a^b',
    '%25',
    'a%2',
    '[fe80::1%25]',
    '[::1%2525]',
    'x[::1]',
  ],
  ...[
    '[%3a:1]',
    '[fe80::1%eth0]',
    '[v1.a]',
    '[fe80::1%25a%2fb]',
    '[1:2:3:4:5:6:7:8:9]',
    '[::01.2.3.4]',
  ],
]
const PORTS = ['', '', '', ':443', ':', ':x', ':0443', ':1:2', ':-1', ':١']
const PATHS = [
  ...[
    '',
    '/',
    '/a/b',
    '/a%2Fb',
    '/a%2fb',
    '/a b',
    '/é',
    '/%C3%A9',
    '/%zz',
    '/%',
    '/a;b',
    '/[x]',
    '/a|b',
  ],
  ...[
    '/../x',
    '/.',
    '//x',
    '///x',
    '/a:b',
    'a',
    'a:b',
    'a/b',
    '*',
    '/%00',
    '/~$&+,=@!*\'()"<>',
    '/%ff',
  ],
  ...['/\\u00a0', '/%7E', '/%41'],
]
const QUERIES = [
  ...[
    '',
    '',
    '?',
    '?a=1',
    '?a=1&a=2&b',
    '?a=%20+b',
    '?a;b=1',
    '?a=%zz&b=2',
    '?=x',
    '?&&',
    '?a=é',
    '?a?b',
  ],
  ...['??', '?a=%ff', '?%61=1', '?a=b=c', '?a=[x]'],
]
const FRAGMENTS = ['', '', '', '#', '#f', '#é', '#%zz', '#a#b', '#%41', '#a b', '#%C3%A9', '#a?b/c']
const PARTS = ['getScheme', 'getHost', 'getHostname', 'getPort', 'getEscapedPath', 'getQuery']

const NUMBERS = [
  '0',
  '1',
  '10',
  '01',
  '00',
  '',
  'v1',
  'x',
  '-1',
  '18446744073709551615',
  '99999999999999999999',
]
const SUFFIXES = [
  ...[
    '',
    '',
    '',
    '-rc.1',
    '-rc.01',
    '-1',
    '-01',
    '-',
    '+',
    '+b',
    '-a+b',
    '+b-c',
    '-a.b.c',
    '-a..b',
    '-A',
  ],
  ...[
    '-é',
    '+a.01',
    '+a..b',
    '.4',
    '-99999999999999999999',
    '-0',
    '-rc.10',
    '-rc',
    ' ',
    '-a+b+c',
    '-a-b',
  ],
]

/** Expressions about `count` random URLs: `isURL`, each part, and whether it equals another one. */
export function urlExpressions(seed: number, count: number): string[] {
  const { pick } = pickFrom(seed)
  const make = () => {
    const scheme = pick(SCHEMES)
    const colon = pick(['://', '://', '://', ':', ':/', '', '//'])
    const authority = colon.endsWith('//') ? pick(USERS) + pick(HOSTS) + pick(PORTS) : ''
    const text = scheme + colon + authority + pick(PATHS) + pick(QUERIES) + pick(FRAGMENTS)
    return JSON.stringify(pick([text, text, text, text.slice(scheme.length), `${text}\n`]))
  }
  return Array.from({ length: count }, make).flatMap((text) => [
    `isURL(${text})`,
    `url(${text}).${pick(PARTS)}()`,
    `url(${text}) == url(${pick([make(), text.replace('?"', '"'), text.replace('#', '?')])})`,
  ])
}

/** Expressions about `count` random versions: whether they are one, their numbers, and their order. */
export function versionExpressions(seed: number, count: number): string[] {
  const { pick } = pickFrom(seed)
  const make = () => {
    const numbers = [pick(NUMBERS), pick(NUMBERS.slice(0, 5)), pick(NUMBERS.slice(0, 5))]
    const text = numbers.slice(0, pick([3, 3, 3, 3, 2, 1])).join('.') + pick(SUFFIXES)
    return JSON.stringify(text)
  }
  const other = () => JSON.stringify(`1.${pick(['0', '1'])}.0${pick(SUFFIXES)}`)
  return Array.from({ length: count }, make).flatMap((text) => [
    `isSemver(${text})`,
    `isSemver(${text}, true)`,
    `semver(${text}${pick(['', ', true'])}).${pick(['major', 'minor', 'patch'])}()`,
    `semver(${other()}).${pick(['compareTo', 'isLessThan', 'isGreaterThan'])}(semver(${other()}))`,
    `semver(${text}, true) == semver(${other()})`,
  ])
}

function pickFrom(seed: number) {
  const random = randomNumbers(seed)
  return { pick: <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]! }
}
