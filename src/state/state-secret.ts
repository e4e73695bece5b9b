/**
 * The secret that replicas share. Redis sees only what was made with it: digests of names
 * (keyed-digest.ts) and sealed records (sealed-record.ts). It is never Redis' own password, which the
 * administrator of Redis knows.
 */
import { hkdfSync } from 'node:crypto'

/** One line of the secret file, as keys for its uses. None of them reveals another one. */
export interface StateKey {
  /** Four bytes that name the key in sealed records; they reveal nothing about it. */
  readonly id: Buffer
  readonly digestKey: Buffer
  readonly sealingKey: Buffer
}

/** The first key is used for everything new; the previous ones only find what was made with them. */
export interface StateSecret {
  readonly current: StateKey
  readonly previous: readonly StateKey[]
}

/** A key of fewer bytes can be guessed. */
export const MIN_SECRET_BYTES = 32
/** Each lookup under every key costs a digest per key. */
export const MAX_SECRETS = 8

/**
 * Reads the text of a secret file: a secret on each line, the current one first. Blank lines and lines
 * that begin with "#" are ignored.
 *
 * @returns what is wrong and how to fix it, if anything is; secrets are never part of the message
 */
export function parseStateSecret(
  text: string,
): StateSecret | readonly [message: string, fix: string] {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
  const [current, ...previous] = lines.map(keyOf)
  if (current === undefined) {
    return ['contains no secret', 'write the output of `openssl rand -hex 32` into it']
  }
  const short = lines.findIndex((line) => Buffer.byteLength(line) < MIN_SECRET_BYTES)
  if (short >= 0) {
    return [
      `secret ${short + 1} of ${lines.length} has fewer than ${MIN_SECRET_BYTES} bytes`,
      'write the output of `openssl rand -hex 32` on a line of its own',
    ]
  }
  if (lines.length > MAX_SECRETS) {
    return [`contains more than ${MAX_SECRETS} secrets`, 'remove the oldest ones']
  }
  if (new Set(lines).size < lines.length) {
    return ['contains a secret twice', 'write each secret on one line']
  }
  return { current, previous }
}

function keyOf(secret: string): StateKey {
  return {
    id: derive(secret, 'id', 4),
    digestKey: derive(secret, 'digest', 32),
    sealingKey: derive(secret, 'seal', 32),
  }
}

/** RFC 5869. The secret is random, so that it needs no salt. */
function derive(secret: string, use: string, length: number): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', `gatehouse state v1 ${use}`, length))
}
