import { BlockList, isIP } from 'node:net'

/**
 * @param networks addresses and networks in CIDR notation, which have been checked
 * @returns whether an address, in canonical form, is in one of them
 */
export function createNetworks(networks: readonly string[]): (address: string) => boolean {
  if (networks.length === 0) return () => false
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const network of networks) {
    const [address = '', prefix] = network.split('/')
    const family = familyOf(address)
    const length = Number(prefix ?? (family === 'ipv4' ? 32 : 128))
    lists[family].addSubnet(address, length, family)
    // A list also finds IPv4 addresses in networks of IPv6: all of them in ::/0, which names none.
    if (isMapped(address)) lists.ipv4.addSubnet(address, length, family)
  }
  return (address) => {
    if (isIP(address) === 0) return false
    const family = familyOf(address)
    return lists[family].check(address, family)
  }
}

function isMapped(address: string): boolean {
  return address.toLowerCase().startsWith('::ffff:')
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4'
}
