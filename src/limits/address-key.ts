/**
 * Returns the key under which a client's address is counted: an IPv4 address, or the /64 prefix of
 * an IPv6 address, since a client with one address of a /64 usually has all of them (RFC 6177,
 * RFC 8981).
 *
 * @param address in canonical form without a zone; IPv4-mapped addresses as IPv4
 */
export function addressKey(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const behind = tail === '' ? 0 : tail.split(':').length
    for (let missing = 8 - groups.length - behind; missing > 0; missing--) groups.push('0')
    if (tail !== '') groups.push(...tail.split(':'))
  }
  return `${groups.slice(0, 4).join(':')}::/64`
}
