/** Makes random expressions over the claims of `sample-claims.ts`; about half of them have a value. */

/** Numbers from 0 to 1, the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    // mulberry32
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const CLAIMS = [
  ...['sub', 'email', 'level', 'roles', 'realm_access', 'list', 'csv', 'unicode', 'empty'],
  ...['numbers', 'nul', 'iat', 'nested', 'deep', 'nope', 'big', 'fraction', 'email_verified'],
]
const STRINGS = [
  ...["''", "'a'", "'ada'", "','", "'b'", "'é'", "'admin'", "'K'", "'😀'", "'1'", "'true'"],
  ...["'[a-z]+'", "'(a|b)*'", "'1.5'", "'2024-01-02T03:04:05Z'", "'1h'", "'10.0.0.1'"],
  ...["'10.0.0.0/8'", "'fe80::1'", "'\\u212a'", "'https://a.example/b?c'", "'1.2.3-rc.1'"],
]
const INTEGERS = ['0', '1', '2', '-1', '3', '100', '9223372036854775807', 'claims.level']
const DOUBLES = ['0.0', '1.5', '-2.0', '1e10', '1e-7', 'claims.fraction']

type Kind = 'any' | 'string' | 'int' | 'bool' | 'list'

/** Returns `count` expressions. */
export function randomExpressions(seed: number, count: number): string[] {
  const random = randomNumbers(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const variables: string[] = []

  /** Fills a template: `S`, `I`, `B`, `L`, `A` are expressions, in lower case without depth; `C` is a claim. */
  function fill(template: string, depth: number): string {
    const kinds: Record<string, Kind> = { S: 'string', I: 'int', B: 'bool', L: 'list', A: 'any' }
    return template.replace(/\{(\w)\}/g, (_, letter: string) => {
      if (letter === 'C') return pick(CLAIMS)
      const kind = kinds[letter.toUpperCase()]!
      return make(kind, letter === letter.toUpperCase() ? depth - 1 : 0)
    })
  }

  function loop(macro: string, body: Kind, depth: number): string {
    const variable = pick(['x', 'y', 'z'])
    const range = make('list', depth - 1)
    variables.push(variable)
    const inner = make(body, depth - 1)
    variables.pop()
    return `${range}.${macro}(${variable}, ${inner})`
  }

  function make(kind: Kind, depth: number): string {
    if (kind === 'any' && (depth <= 0 || random() > 0.1)) {
      const kinds = ['string', 'string', 'int', 'bool', 'list'] as const
      return random() < 0.15 ? `claims.${pick(CLAIMS)}` : make(pick(kinds), depth)
    }
    if (depth <= 0) return pick(leaves(kind))
    const made = random()
    if (kind === 'list' && made < 0.25) {
      const [macro, body] = pick([
        ['map', 'any'],
        ['filter', 'bool'],
        ['sortBy', 'any'],
      ] as const)
      return loop(macro, body, depth)
    }
    if (kind === 'bool' && made < 0.2) {
      return loop(pick(['all', 'exists', 'exists_one']), 'bool', depth)
    }
    return fill(pick(TEMPLATES[kind]), depth)
  }

  function leaves(kind: Kind): readonly string[] {
    const strings = ['claims.sub', 'claims.csv', 'claims.unicode', 'claims.empty', ...variables]
    if (kind === 'int') return INTEGERS
    if (kind === 'bool') return ['true', 'false', 'claims.email_verified', 'has(claims.nope)']
    if (kind === 'list') return LISTS
    return [...STRINGS, ...STRINGS, ...strings]
  }

  return Array.from({ length: count }, () => {
    variables.length = 0
    return make('any', 1 + Math.floor(random() * 3))
  })
}

const LISTS = [
  ...['[]', "['a', 'b']", '[1, 2, 3]', '[1.5, 2.5]', 'claims.roles', 'dyn(claims.roles)'],
  ...['dyn(claims.numbers)', 'claims.realm_access.roles', "claims.csv.split(',')", 'claims.list'],
]

const TEMPLATES: Readonly<Record<Kind, readonly string[]>> = {
  any: [
    ...['claims.?{C}', 'claims.{C}.?{C}', '{{s}: {A}}', 'optional.of({A})', 'duration({s})'],
    ...['claims.?{C}.optMap(o, {A})', 'timestamp({s})', 'bytes({s})', 'double({A})', 'uint({i})'],
    ...['null', 'dyn({A})', ...DOUBLES, 'ip({s})', 'cidr({s})', 'type({A})', '{L}.first()'],
    ...['url({s})', 'semver({s})'],
  ],
  string: [
    ...['{S} + {S}', '{S}.lowerAscii()', '{S}.upperAscii()', '{S}.trim()', 'string({A})'],
    ...['{S}.replace({S}, {S})', '{S}.replace({S}, {S}, {i})', '{S}.substring({i})'],
    ...['{S}.substring({i}, {i})', '{S}.charAt({i})', '{L}.join({s})', '{S}.find({s})'],
    ...['({B} ? {S} : {S})', 'claims.?{C}.orValue({S})', '{L}[{i}]', 'strings.quote({S})'],
    ...['url({s}).getHost()'],
    ...["'%s'.format([{A}])", "'%d %x'.format([{I}, {S}])"],
  ],
  int: [
    ...['{I} + {I}', '{I} - {I}', '{I} * {I}', '{I} / {I}', '{I} % {I}', 'size({A})', '-{I}'],
    ...['{S}.size()', 'int({A})', '{S}.indexOf({S})', '{S}.lastIndexOf({S}, {i})', '{L}.sum()'],
    ...['{L}.max()', '{L}.indexOf({A})', 'timestamp({s}).getHours()', 'timestamp({s}).getDate()'],
    ...['timestamp({s}).getDayOfYear()', 'duration({s}).getMinutes()', 'semver({s}).major()'],
  ],
  bool: [
    ...['{A} == {A}', '{A} != {A}', '{A} < {A}', '{A} <= {A}', '{A} > {A}', '{A} >= {A}'],
    ...['{B} && {B}', '{B} || {B}', '!{B}', '{A} in {L}', '{S}.startsWith({S})'],
    ...['{S}.matches({s})', '{S}.contains({S})', '{L}.isSorted()', 'sets.contains({L}, {L})'],
    ...['bool({A})', 'has(claims.{C}.{C})', 'isIP({S})', 'cidr({s}).containsIP({s})'],
    ...['sets.intersects({L}, {L})', 'type({A}) == type({A})'],
  ],
  list: [
    ...['[{A}, {A}]', '[{A}]', '{L} + {L}', '{S}.split({S})', '{L}.sort()', '{L}.distinct()'],
    ...['{L}.reverse()', '{L}.slice(0, {i})', '{S}.findAll({s})', 'claims.?{C}.orValue({L})'],
    ...['{L}.flatten()', '[?claims.?{C}]', 'lists.range(3)', '{S}.split({S}, {i})'],
  ],
}
