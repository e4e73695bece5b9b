/** Calls of every overload, with a value of every type in the place of each argument, known and not known to the checker. */
import type { Overload } from '../../src/cel/library.ts'
import { formatType, type Type } from '../../src/cel/types.ts'

const VALUES: Readonly<Record<string, string>> = {
  ...{ int: '2', uint: '2u', double: '1.5', bool: 'true', string: "'a1'", bytes: "b'a1'" },
  ...{ null_type: 'null', type: 'type(1)', list: '[3, 1]', map: "{'a': 1}" },
  'list(string)': "['b', 'a']",
  'list(list)': '[[1], [2]]',
  'google.protobuf.Duration': "duration('90s')",
  'google.protobuf.Timestamp': "timestamp('2026-11-28T01:02:03Z')",
  optional_type: 'optional.of(1)',
  'net.IP': "ip('10.0.0.1')",
  'net.CIDR': "cidr('10.0.0.0/8')",
  'kubernetes.URL': "url('https://a1/b?c=d')",
  'kubernetes.Semver': "semver('1.2.3')",
  any: 'claims.level',
}

/** Operators are called by their signs, of which names are made. */
const SIGNS = /^_([^_\w]+|in)_$/

/** One expression for each overload, and for each place of an argument and each value one more. */
export function overloadExpressions(
  functions: Iterable<readonly [name: string, overloads: readonly Overload[]]>,
): readonly string[] {
  const all = [...functions].flatMap(([name, overloads]) =>
    overloads.flatMap((overload) => {
      const usual = overload.parameters.map(valueOf)
      const others = usual.flatMap((_, place) =>
        Object.values(VALUES).flatMap((value) =>
          [value, `dyn(${value})`, `dyn([${value}]).flatten()[0]`].map((used) =>
            usual.with(place, used),
          ),
        ),
      )
      return [usual, ...others].flatMap((args) => callOf(name, overload, args) ?? [])
    }),
  )
  return [...new Set(all)]
}

function callOf(name: string, { isMember }: Overload, args: readonly string[]): string | undefined {
  const [first = '', ...more] = args
  const [, sign = name === '@in' ? 'in' : undefined] = SIGNS.exec(name) ?? []
  if (sign !== undefined && args.length === 2) return `${first} ${sign} ${more[0]!}`
  if (name === '!_' || name === '-_') return `${name[0]!}${first}`
  if (!/^[a-zA-Z][\w.]*$/.test(name)) return undefined
  return isMember ? `${first}.${name}(${more.join(', ')})` : `${name}(${args.join(', ')})`
}

function valueOf(type: Type): string {
  return VALUES[formatType(type)] ?? VALUES[type.name] ?? VALUES[type.kind] ?? 'claims.level'
}
