/** Explains why a listener could not bind its address, for administrators. */
import { isIPv6 } from 'node:net'

/** An address that could not be bound; the message names the listener, the address and a fix. */
export class BindError extends Error {
  override readonly name = 'BindError'
}

interface BindAddress {
  /** Its field in gatehouse.yaml: `listener` or `probes`. */
  readonly field: string
  readonly address: string
  readonly port: number
}

/**
 * Starts a listener, and explains errors of binding its address.
 *
 * @throws BindError in place of the system error; other errors unchanged
 */
export async function binding<T>(wanted: BindAddress, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const message = code === undefined ? undefined : explain(code, wanted)
    throw message === undefined ? error : new BindError(message, { cause: error })
  }
}

function explain(code: string, { field, address, port }: BindAddress): string | undefined {
  const at = isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
  switch (code) {
    case 'EADDRINUSE':
      return `${field}: ${at} is already in use (stop the process that listens there, or choose another ${field}.port)`
    case 'EACCES':
    case 'EPERM':
      return port < 1_024
        ? `${field}: no permission to bind ${at} (choose a ${field}.port of 1024 or higher, or grant CAP_NET_BIND_SERVICE)`
        : `${field}: no permission to bind ${at} (choose another ${field}.port)`
    case 'EADDRNOTAVAIL':
      return `${field}: ${address} is not an address of this machine (correct ${field}.address; ${unspecified(address)} means all addresses)`
    case 'EAFNOSUPPORT':
      return `${field}: ${address}: this machine does not support that address family (choose an IPv4 ${field}.address)`
    default:
      return undefined
  }
}

function unspecified(address: string): string {
  return isIPv6(address) ? '::' : '0.0.0.0'
}
