/**
 * The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt): a load balancer that
 * passes TLS through writes the client's address ahead of the client's own bytes.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net'

import { canonicalAddress, type ClientAddress } from './client-connection.ts'
import type { Decision } from './first-bytes.ts'

/** What a header says: the client, or that the connection is the balancer's own (a health check). */
export type ProxyHeader =
  { readonly client: ClientAddress } | { readonly client: undefined } | { readonly problem: string }

/** Section 2.1: the longest header of version 1, with its CRLF. */
const MAX_V1_BYTES = 107
const V1_ADDRESSES = new Map<string, (text: string) => boolean>([
  ['TCP4', isIPv4],
  ['TCP6', isPlainIPv6],
])
const V1_START = Buffer.from('PROXY ')

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const V2_FIXED_BYTES = 16
/** Load balancers add a few short extensions (TLVs); the format would allow 64 KiB. */
const MAX_V2_BYTES = 2_048
const V2_LOCAL = 0x20
const V2_PROXY = 0x21
const V2_UNSPECIFIED = 0x00
const V2_TCP4 = 0x11
const V2_TCP6 = 0x21

/**
 * Reads the header at the beginning of a connection. There must be one: a receiver must not guess
 * whether there is (section 5), or a client could send its own.
 *
 * @returns undefined when more bytes are needed
 */
export function decideProxyHeader(bytes: Buffer): Decision<ProxyHeader> | undefined {
  if (startsLike(bytes, V2_SIGNATURE)) return version2(bytes)
  if (startsLike(bytes, V1_START)) return version1(bytes)
  return invalid('the connection does not begin with a PROXY protocol header')
}

/** Whether `bytes` begin with `start`, or are the beginning of it. */
function startsLike(bytes: Buffer, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return bytes.subarray(0, length).equals(start.subarray(0, length))
}

function version1(bytes: Buffer): Decision<ProxyHeader> | undefined {
  const end = bytes.subarray(0, MAX_V1_BYTES).indexOf('\r\n')
  if (end === -1) {
    return bytes.length < MAX_V1_BYTES ? undefined : invalid('the version 1 header does not end')
  }
  const consumed = end + 2
  const [, protocol = '', ...fields] = bytes.toString('latin1', 0, end).split(' ')
  // Whatever follows UNKNOWN is to be ignored.
  if (protocol === 'UNKNOWN') return { value: { client: undefined }, consumed }
  const isAddress = V1_ADDRESSES.get(protocol)
  if (isAddress === undefined) return invalid('the version 1 header has an unknown protocol')
  const client = fields.length === 4 ? version1Client(fields, isAddress) : undefined
  return client === undefined
    ? invalid('the version 1 header has an invalid address')
    : { value: { client }, consumed }
}

/** Source and destination address, then the two ports. */
function version1Client(
  [source = '', destination = '', port = '', destinationPort = '']: readonly string[],
  isAddress: (text: string) => boolean,
): ClientAddress | undefined {
  const areAddresses = isAddress(source) && isAddress(destination)
  if (!areAddresses || !isPort(port) || !isPort(destinationPort)) return undefined
  return clientAddress(source, Number(port))
}

/** Without a zone, which means nothing on another machine. */
function isPlainIPv6(text: string): boolean {
  return isIPv6(text) && !text.includes('%')
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535
}

function version2(bytes: Buffer): Decision<ProxyHeader> | undefined {
  if (bytes.length < V2_FIXED_BYTES) return undefined
  const command = bytes.readUInt8(12)
  const family = bytes.readUInt8(13)
  const length = bytes.readUInt16BE(14)
  const consumed = V2_FIXED_BYTES + length
  if (command !== V2_LOCAL && command !== V2_PROXY) {
    return invalid('the version 2 header has an unknown version or command')
  }
  if (consumed > MAX_V2_BYTES) return invalid('the version 2 header is too long')
  if (bytes.length < consumed) return undefined
  if (command === V2_LOCAL || family === V2_UNSPECIFIED) {
    return { value: { client: undefined }, consumed }
  }
  const body = bytes.subarray(V2_FIXED_BYTES, consumed)
  const client = family === V2_TCP4 ? tcp4(body) : family === V2_TCP6 ? tcp6(body) : undefined
  return client === undefined
    ? invalid('the version 2 header has no TCP addresses')
    : { value: { client }, consumed }
}

/** Source and destination address, then the two ports. */
function tcp4(body: Buffer): ClientAddress | undefined {
  if (body.length < 12) return undefined
  return clientAddress(body.subarray(0, 4).join('.'), body.readUInt16BE(8))
}

function tcp6(body: Buffer): ClientAddress | undefined {
  if (body.length < 36) return undefined
  const groups = Array.from({ length: 8 }, (_, i) => body.readUInt16BE(2 * i).toString(16))
  return clientAddress(groups.join(':'), body.readUInt16BE(32))
}

/** In the spelling that the kernel uses for peers, so that limits see one address as one. */
function clientAddress(address: string, port: number): ClientAddress {
  if (isIPv4(address)) return { address, port }
  const { address: compressed } = new SocketAddress({ address, family: 'ipv6' })
  return { address: canonicalAddress(compressed), port }
}

function invalid(problem: string): Decision<ProxyHeader> {
  return { value: { problem }, consumed: 0 }
}
