const MAX_INT64 = 2n ** 63n - 1n

/**
 * Whether Go's `strconv.ParseInt(text, 10, 64)` accepts `text`: leading zeros and a sign are
 * allowed.
 */
export function isInt64(text: string): boolean {
  const sign = text.charCodeAt(0)
  const start = sign === 0x2b || sign === 0x2d ? 1 : 0
  if (start === text.length) return false
  let significant = text.length
  for (let at = text.length - 1; at >= start; at--) {
    const code = text.charCodeAt(at)
    if (code < 0x30 || code > 0x39) return false
    if (code !== 0x30) significant = at
  }
  const digits = text.length - significant
  if (digits !== 19) return digits < 19
  const magnitude = BigInt(text.slice(significant))
  return magnitude <= MAX_INT64 || (sign === 0x2d && magnitude === MAX_INT64 + 1n)
}
