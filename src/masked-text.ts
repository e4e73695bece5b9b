/** A text of others with `***` in place of every secret that it repeats. */
export function maskedText(text: string, secrets: Iterable<string>): string {
  // The longest first: a shorter one may be a part of it.
  return [...secrets]
    .toSorted((a, b) => b.length - a.length)
    .reduce((masked, secret) => masked.replaceAll(secret, '***'), text)
}
