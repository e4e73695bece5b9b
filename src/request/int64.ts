const MAX_INT64 = 2n ** 63n - 1n

/** Whether Go's `strconv.ParseInt(text, 10, 64)` takes `text`: leading zeros and a sign are fine. */
export function isInt64(text: string): boolean {
  const digits = /^[+-]?0*([0-9]*)$/.exec(text)?.[1]
  if (digits === undefined || digits.length > 19 || !/[0-9]$/.test(text)) return false
  const magnitude = BigInt(digits)
  return magnitude <= MAX_INT64 || (text.startsWith('-') && magnitude === MAX_INT64 + 1n)
}
