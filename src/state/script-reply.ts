/** Readers of what scripts return, for the `read` of `SharedStore.run`. Redis may be anything that responds. */

/** A reply is not what the script returns. */
export class UnexpectedReply extends Error {}

/** @throws UnexpectedReply */
export function unexpectedReply(): never {
  throw new UnexpectedReply('Redis returned an unexpected reply')
}

/** @throws UnexpectedReply for anything but a number */
export function numberOf(reply: unknown): number {
  return typeof reply === 'number' ? reply : unexpectedReply()
}

/** @throws UnexpectedReply for anything but a whole number that is not negative */
export function countOf(reply: unknown): number {
  const number = numberOf(reply)
  return Number.isSafeInteger(number) && number >= 0 ? number : unexpectedReply()
}

/** @throws UnexpectedReply for anything but a text */
export function textOf(reply: unknown): string {
  return typeof reply === 'string' ? reply : unexpectedReply()
}

/** @throws UnexpectedReply for anything but a list */
export function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : unexpectedReply()
}

/** @throws UnexpectedReply for anything but a list of texts */
export function textsOf(reply: unknown): readonly string[] {
  return listOf(reply).map(textOf)
}
