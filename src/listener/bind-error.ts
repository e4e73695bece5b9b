/** What may go wrong when a listener takes its address, in an operator's words. */
import { isIPv6 } from 'node:net'

/** An address that could not be had; the message names the listener, the address and a fix. */
export class BindError extends Error {
  override readonly name = 'BindError'
}

interface Wanted {
  /** Its name in gatehouse.yaml: `listener` or `probes`. */
  readonly field: string
  readonly address: string
  readonly port: number
}

/**
 * Waits for a listener to have its address.
 *
 * @throws BindError in place of what the system says of the address
 */
export async function binding<T>(wanted: Wanted, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const said = code === undefined ? undefined : explain(code, wanted)
    throw said === undefined ? error : new BindError(said, { cause: error })
  }
}

function explain(code: string, { field, address, port }: Wanted): string | undefined {
  const at = isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `${field}: ${at} is in use (stop what listens there, or choose another ${field}.port)`
    case 'EACCES':
    case 'EPERM':
      return port < 1_024
        ? `${field}: ${at} is not allowed (choose a ${field}.port from 1024 on, or grant CAP_NET_BIND_SERVICE)`
        : `${field}: ${at} is not allowed (choose another ${field}.port)`
    case 'EADDRNOTAVAIL':
      return `${field}: ${address} is no address of this machine (correct ${field}.address; ${unspecified(address)} means every one)`
    case 'EAFNOSUPPORT':
      return `${field}: ${address} is of a kind that this machine has not (choose an IPv4 ${field}.address)`
    default:
      return undefined
  }
}

function unspecified(address: string): string {
  return isIPv6(address) ? '::' : '0.0.0.0'
}
