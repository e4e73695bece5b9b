import { CelValueError } from '../error.ts'
import { Uint } from '../values.ts'

const MAX_INT = 2n ** 63n - 1n
const MAX_UINT = 2n ** 64n - 1n

/** @throws CelValueError for what does not fit into 64 bits */
export function checkedInt(value: bigint): bigint {
  if (value > MAX_INT || value < -MAX_INT - 1n) throw new CelValueError('integer overflow')
  return value
}

/** @throws CelValueError for what is negative or does not fit into 64 bits */
export function checkedUint(value: bigint): Uint {
  if (value > MAX_UINT || value < 0n) throw new CelValueError('unsigned integer overflow')
  return new Uint(value)
}
