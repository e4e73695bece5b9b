/** IP addresses and networks (apiserver pkg/cel/library/ip.go, cidr.go; Go's net/netip). */
import { isIPv4, isIPv6 } from 'node:net'

import { CelValueError } from '../error.ts'
import type { Library } from '../library.ts'
import type { Opaque } from '../values.ts'

interface Address extends Opaque {
  readonly family: 4 | 6
  readonly number: bigint
}

interface Network extends Opaque {
  readonly address: Address
  readonly prefixLength: number
}

export const networks: Library = {
  ip: [
    ['string -> net.IP', (_meter, text: string) => parseAddress(text)],
    ['.net.CIDR -> net.IP', (_meter, { address }: Network) => address],
  ],
  isIP: [['string -> bool', (_meter, text: string) => isValid(parseAddress, text)]],
  'ip.isCanonical': [
    ['string -> bool', (_meter, text: string) => parseAddress(text).text === text],
  ],
  family: [['.net.IP -> int', (_meter, { family }: Address) => BigInt(family)]],
  isUnspecified: [['.net.IP -> bool', (_meter, { number }: Address) => number === 0n]],
  isLoopback: [['.net.IP -> bool', (_meter, ip: Address) => isLoopback(ip)]],
  isLinkLocalMulticast: [['.net.IP -> bool', (_meter, ip: Address) => isLinkLocalMulticast(ip)]],
  isLinkLocalUnicast: [['.net.IP -> bool', (_meter, ip: Address) => isLinkLocalUnicast(ip)]],
  isGlobalUnicast: [['.net.IP -> bool', (_meter, ip: Address) => isGlobalUnicast(ip)]],
  cidr: [['string -> net.CIDR', (_meter, text: string) => parseNetwork(text)]],
  isCIDR: [['string -> bool', (_meter, text: string) => isValid(parseNetwork, text)]],
  containsIP: [
    ['.net.CIDR, string -> bool', (_meter, a: Network, b: string) => contains(a, parseAddress(b))],
    ['.net.CIDR, net.IP -> bool', (_meter, a: Network, b: Address) => contains(a, b)],
  ],
  containsCIDR: [
    [
      '.net.CIDR, string -> bool',
      (_meter, a: Network, b: string) => containsNetwork(a, parseNetwork(b)),
    ],
    ['.net.CIDR, net.CIDR -> bool', (_meter, a: Network, b: Network) => containsNetwork(a, b)],
  ],
  prefixLength: [['.net.CIDR -> int', (_meter, { prefixLength }: Network) => BigInt(prefixLength)]],
  masked: [['.net.CIDR -> net.CIDR', (_meter, network: Network) => masked(network)]],
}

function isValid(parse: (text: string) => unknown, text: string): boolean {
  try {
    parse(text)
    return true
  } catch (error) {
    if (error instanceof CelValueError) return false
    throw error
  }
}

/** @throws CelValueError for what is not an address, has a zone, or is an IPv4 address in IPv6 form */
function parseAddress(text: string): Address {
  if (isIPv4(text)) {
    const bytes = text.split('.').map(Number)
    return addressOf(
      4,
      bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n),
    )
  }
  // Zones are not allowed; Node accepts them.
  if (text.includes('%') || !isIPv6(text)) throw new CelValueError('IP address parse error')
  const address = addressOf(6, ipv6Number(text))
  if (address.number >> 32n === 0xffffn) {
    throw new CelValueError('IPv4-mapped IPv6 address is not allowed')
  }
  return address
}

function ipv6Number(text: string): bigint {
  const [head = '', tail] = text.split('::')
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0n)
  return [...before, ...zeros, ...after].reduce((number, group) => number * 65_536n + group, 0n)
}

function groups(text: string): bigint[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [BigInt(a * 256 + b), BigInt(c * 256 + d)]
  })
}

function addressOf(family: 4 | 6, number: bigint): Address {
  const text = family === 4 ? ipv4Text(number) : ipv6Text(number)
  return { opaqueType: 'net.IP', text, family, number }
}

function ipv4Text(number: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 255n).join('.')
}

/** As RFC 5952 writes it: the longest run of two or more zero groups is left out, the first of several. */
function ipv6Text(number: bigint): string {
  const all = Array.from({ length: 8 }, (_, i) =>
    ((number >> BigInt(112 - 16 * i)) & 0xffffn).toString(16),
  )
  let best = { start: 0, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (all[start + length] === '0') length++
    if (length > best.length) best = { start, length }
  }
  if (best.length < 2) return all.join(':')
  const end = best.start + best.length
  return `${all.slice(0, best.start).join(':')}::${all.slice(end).join(':')}`
}

/** Whether the first bits of an IPv4 or IPv6 address are those of a prefix. */
function begins({ family, number }: Address, prefix: Readonly<Record<4 | 6, [bigint, number]>>) {
  const [value, bits] = prefix[family]
  return number >> BigInt(sizeOf(family) - bits) === value
}

function sizeOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128
}

const isLoopback = (ip: Address): boolean => begins(ip, { 4: [127n, 8], 6: [1n, 128] })

const isLinkLocalUnicast = (ip: Address): boolean =>
  begins(ip, { 4: [0xa9fen, 16], 6: [0xfe80n >> 6n, 10] })

function isLinkLocalMulticast(ip: Address): boolean {
  if (ip.family === 4) return begins(ip, { 4: [0xe00000n, 24], 6: [0n, 0] })
  // Whatever the flags are, which are the third group of four bits.
  return ip.number >> 120n === 0xffn && ((ip.number >> 112n) & 0xfn) === 2n
}

function isGlobalUnicast(ip: Address): boolean {
  const isMulticast = begins(ip, { 4: [0xen, 4], 6: [0xffn, 8] })
  const isBroadcast = ip.family === 4 && ip.number === 0xffffffffn
  return (
    !isMulticast && !isBroadcast && ip.number !== 0n && !isLoopback(ip) && !isLinkLocalUnicast(ip)
  )
}

const PREFIX_LENGTH = /^(?:0|[1-9]\d{0,2})$/

function parseNetwork(text: string): Network {
  const slash = text.lastIndexOf('/')
  const length = text.slice(slash + 1)
  if (slash === -1 || !PREFIX_LENGTH.test(length)) throw new CelValueError('network parse error')
  const address = parseAddress(text.slice(0, slash))
  if (Number(length) > sizeOf(address.family)) throw new CelValueError('network parse error')
  return networkOf(address, Number(length))
}

function networkOf(address: Address, prefixLength: number): Network {
  const text = `${address.text}/${prefixLength}`
  return { opaqueType: 'net.CIDR', text, address, prefixLength }
}

function contains({ address, prefixLength }: Network, { family, number }: Address): boolean {
  const hidden = BigInt(sizeOf(family) - prefixLength)
  return family === address.family && number >> hidden === address.number >> hidden
}

function containsNetwork(outer: Network, inner: Network): boolean {
  return outer.prefixLength <= inner.prefixLength && contains(outer, inner.address)
}

function masked({ address, prefixLength }: Network): Network {
  const hidden = BigInt(sizeOf(address.family) - prefixLength)
  return networkOf(addressOf(address.family, (address.number >> hidden) << hidden), prefixLength)
}
