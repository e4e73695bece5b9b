/** Semantic versions (apiserver pkg/cel/library/semverlib.go, blang/semver v4). */
import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import type { Meter } from '../meter.ts'
import type { Opaque } from '../values.ts'

const SEMVER = 'kubernetes.Semver'

/** Numbers are compared as numbers, and come before texts. */
type Identifier = bigint | string

interface Version extends Opaque {
  readonly numbers: readonly [major: bigint, minor: bigint, patch: bigint]
  readonly prerelease: readonly Identifier[]
}

export const versions: Library = {
  semver: [
    [`string -> ${SEMVER}`, (meter, text: string) => versionOf(meter, text)],
    [
      `string, bool -> ${SEMVER}`,
      (meter, text: string, isLenient: boolean) =>
        versionOf(meter, isLenient ? normalized(text) : text),
    ],
  ],
  isSemver: [
    ['string -> bool', (meter, text: string) => parse(meter, text) !== undefined],
    [
      'string, bool -> bool',
      (meter, text: string, isLenient: boolean) =>
        parse(meter, isLenient ? normalized(text) : text) !== undefined,
    ],
  ],
  // Go's library gives a number of 64 bits without a sign as one with a sign.
  major: [[`.${SEMVER} -> int`, (_meter, { numbers }: Version) => BigInt.asIntN(64, numbers[0])]],
  minor: [[`.${SEMVER} -> int`, (_meter, { numbers }: Version) => BigInt.asIntN(64, numbers[1])]],
  patch: [[`.${SEMVER} -> int`, (_meter, { numbers }: Version) => BigInt.asIntN(64, numbers[2])]],
  compareTo: [
    [
      `.${SEMVER}, ${SEMVER} -> int`,
      (meter, a: Version, b: Version) => BigInt(compare(meter, a, b)),
    ],
  ],
  isGreaterThan: [
    [`.${SEMVER}, ${SEMVER} -> bool`, (meter, a: Version, b: Version) => compare(meter, a, b) > 0],
  ],
  isLessThan: [
    [`.${SEMVER}, ${SEMVER} -> bool`, (meter, a: Version, b: Version) => compare(meter, a, b) < 0],
  ],
}

function versionOf(meter: Meter, text: string): Version {
  const version = parse(meter, text)
  if (version === undefined) throw new CelValueError('this is not a semantic version')
  return version
}

/** Numbers have no leading zeros, and fit into 64 bits, so that they have 20 digits at most. */
const NUMBER = /^(?:0|[1-9]\d{0,19})$/
const DOTTED = String.raw`[\da-z-]+(?:\.[\da-z-]+)*`
const VERSION = new RegExp(String.raw`^(\d+)\.(\d+)\.(\d+)(?:-(${DOTTED}))?(?:\+${DOTTED})?$`, 'i')

function parse(meter: Meter, text: string): Version | undefined {
  meter.charge(1 + text.length)
  const [, major = '', minor = '', patch = '', before] = VERSION.exec(text) ?? []
  const [a, b, c] = [numberOf(major), numberOf(minor), numberOf(patch)]
  const identifiers = before?.split('.').map(identifierOf) ?? []
  const prerelease = identifiers.filter((one) => one !== undefined)
  if (a === undefined || b === undefined || c === undefined) return undefined
  if (prerelease.length < identifiers.length) return undefined
  // The build is not a part of what is compared.
  const key = `${a}.${b}.${c}${prerelease.length === 0 ? '' : `-${prerelease.join('.')}`}`
  return { opaqueType: SEMVER, text: key, numbers: [a, b, c], prerelease }
}

function numberOf(digits: string): bigint | undefined {
  const number = NUMBER.test(digits) ? BigInt(digits) : undefined
  return number === undefined || number < 2n ** 64n ? number : undefined
}

/** Numbers are compared as numbers, and one that is not valid is not a text either. */
function identifierOf(text: string): Identifier | undefined {
  return /^\d+$/.test(text) ? numberOf(text) : text
}

function compare(meter: Meter, a: Version, b: Version): -1 | 0 | 1 {
  meter.charge(Math.min(a.prerelease.length, b.prerelease.length))
  const [major, minor, patch] = a.numbers
  const [otherMajor, otherMinor, otherPatch] = b.numbers
  const order =
    orderOf(major, otherMajor) || orderOf(minor, otherMinor) || orderOf(patch, otherPatch)
  if (order !== 0) return order
  // A version is greater than those that come before its release.
  if (a.prerelease.length === 0 || b.prerelease.length === 0) {
    return orderOf(Number(a.prerelease.length === 0), Number(b.prerelease.length === 0))
  }
  for (const [i, identifier] of a.prerelease.entries()) {
    const other = b.prerelease[i]
    if (other === undefined) return 1
    const next = compareIdentifiers(identifier, other)
    if (next !== 0) return next
  }
  return a.prerelease.length < b.prerelease.length ? -1 : 0
}

function compareIdentifiers(a: Identifier, b: Identifier): -1 | 0 | 1 {
  if (typeof a !== typeof b) return typeof a === 'bigint' ? -1 : 1
  return orderOf(a, b)
}

function orderOf<T extends bigint | number | string>(a: T, b: T): -1 | 0 | 1 {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Without a leading `v` and leading zeros, and with three numbers. */
function normalized(text: string): string {
  const [major = '', minor, ...rest] = text.replace(/^v/, '').split('.')
  const parts = [major, minor, rest.length === 0 ? undefined : rest.join('.')].filter(
    (part) => part !== undefined,
  )
  const stripped = parts.map((part) => {
    if (part.length <= 1) return part
    const digits = part.replace(/^0+/, '')
    return /^\d/.test(digits) ? digits : `0${digits}`
  })
  if (stripped.length === 3) return stripped.join('.')
  // A short version with more than numbers is not valid, and stays short.
  if (/[+-]/.test(stripped.at(-1) ?? '')) return stripped.join('.')
  return [...stripped, '0', '0'].slice(0, 3).join('.')
}
